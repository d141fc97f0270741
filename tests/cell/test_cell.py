"""Programs that mean no harm run as they would anywhere; those that do come to nothing, and the cell goes on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunewright.domain.errors import UsageError
from tunewright.tools.cell.cell import Bounds, Cell

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what the kernel can refuse is tested on Linux")
WALL_S = 1.0


@pytest.fixture(scope="module")
def cell() -> Iterator[Cell]:
    made = Cell(Bounds(wall_s=WALL_S, memory_mib=512, disk_mib=4))
    yield made
    made.close()


@pytest.mark.parametrize(
    "source",
    [
        "assert 1 + 1 == 2",
        "import json, re, decimal, random, uuid; assert json.loads('[1]') == [1] and random.random() < 1",
        "open('a', 'w').write('x')\nimport os; assert os.listdir('.') == ['a'] and open('a').read() == 'x'",
        "import tempfile; file = tempfile.NamedTemporaryFile(); file.write(b'x'); file.flush()",
        "import shutil; open('a', 'w').write('x'); shutil.copy('a', 'b'); assert open('b').read() == 'x'",
        "import threading as t; a = []; b = t.Thread(target=a.append, args=[1]); b.start(); b.join(); assert a",
        "import asyncio; asyncio.run(asyncio.sleep(0))",
        "import numpy; assert numpy.arange(4).sum() == 6",
        "print('x' * 10**6); import sys; print('y', file=sys.stderr)",
        "try: input()\nexcept EOFError: pass\nelse: raise AssertionError",
        "assert __name__ == '__main__'",
        "",
    ],
)  # fmt: skip
def test_harmless_programs_pass(cell: Cell, source: str) -> None:
    assert cell.passes(source)


def test_sources_share_a_namespace_and_programs_do_not(cell: Cell) -> None:
    assert cell.passes("def double(x): return 2 * x", "assert double(2) == 4")
    assert not cell.passes("double(2)")


def test_files_are_gone_with_their_program(cell: Cell) -> None:
    assert cell.passes("open('left', 'w').write('x'); import os; os.makedirs('a/b/c')")
    assert cell.passes("import os; assert os.listdir('.') == []")


@pytest.mark.parametrize(
    "source",
    [
        "assert 1 + 1 == 3",
        "def (",
        "raise SystemExit(0)",
        "import os; os._exit(0)",
        "import sys; sys.exit()",
        "import ctypes; ctypes.string_at(0)",
        "import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "import os\nwhile True: os.write(3, b'passed')",
        "import os; os.write(3, b'0' * 32); os._exit(0)",
        "bytearray(10**10)",
        "hog = []\nwhile True: hog.append(bytes(10**6))",
        "import threading\nwhile True: threading.Thread(target=threading.Event().wait).start()",
        "file = open('a', 'wb')\nfor _ in range(10): file.write(bytes(10**6)); file.flush()",
        "x = " + "(" * 10**5,
    ],
)
def test_programs_that_fail_or_ask_for_too_much_do_not_pass(cell: Cell, source: str) -> None:
    began = time.monotonic()
    assert not cell.passes(source)
    assert time.monotonic() - began < 30
    assert cell.passes("pass"), "the next one is none the worse"


def test_an_endless_program_is_ended_in_time(cell: Cell) -> None:
    for source in ("while True: pass", "import time; time.sleep(60)", "import os, time; os.close(3); time.sleep(60)"):
        began = time.monotonic()
        assert not cell.passes(source)
        assert time.monotonic() - began < 30


def refused(cell: Cell, act: str, error: str = "PermissionError") -> bool:
    """Whether the act raises that error in the cell: it was tried, and something said no."""
    return cell.passes(f"try:\n    {act}\nexcept {error}: pass\nelse: raise AssertionError")


@LINUX
@pytest.mark.parametrize(
    "act",
    [
        "__import__('os').fork()",
        "__import__('subprocess').run(['true'])",
        "__import__('os').execv('/bin/true', ['true'])",
        "__import__('socket').socket()",
        "__import__('os').kill(__import__('os').getppid(), 9)",
        "__import__('os').kill(-1, 9)",
        "open('/proc/1/environ')",
        "open(f'/proc/{__import__(\"os\").getppid()}/environ')",
        "open('/proc/self/environ')",
        "open('/etc/passwd')",
    ],
)
def test_what_a_program_has_no_business_with_is_refused(cell: Cell, act: str) -> None:
    assert refused(cell, act)


@LINUX
def test_limits_cannot_be_raised(cell: Cell) -> None:
    assert refused(cell, "__import__('resource').setrlimit(__import__('resource').RLIMIT_AS, (-1, -1))", "ValueError")


@LINUX
def test_a_fork_bomb_does_not_go_off(cell: Cell) -> None:
    assert cell.passes("import os\nfor _ in range(1000):\n    try: os.fork()\n    except OSError: pass")


@LINUX
def test_nothing_outside_is_read_or_written(cell: Cell, tmp_path: Path) -> None:
    secret, target = tmp_path / "secret", tmp_path / "target"
    secret.write_text("x")
    assert refused(cell, f"open({str(secret)!r})")
    assert refused(cell, f"open({str(target)!r}, 'w')") and not target.exists()
    assert refused(cell, f"__import__('os').unlink({str(secret)!r})") and secret.exists()
    assert refused(cell, f"__import__('os').mkdir({str(target)!r})") and not target.exists()
    mode = secret.stat().st_mode
    assert cell.passes(f"import os; os.chmod({str(secret)!r}, 0o777)") and secret.stat().st_mode == mode


def test_there_is_no_environment_of_ours(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_TEST_SECRET", "x")
    fresh = Cell(Bounds(wall_s=WALL_S))
    assert fresh.passes("import os; assert not {'TUNEWRIGHT_TEST_SECRET', 'HOME', 'PATH', 'USER'} & os.environ.keys()")
    fresh.close()


def test_equal_programs_run_equally(cell: Cell) -> None:
    other = Cell(Bounds(wall_s=WALL_S))
    source = f"assert hash('a') == {_hash_of_a()}"
    assert cell.passes(source) and other.passes(source)
    other.close()


def _hash_of_a() -> int:
    import subprocess

    command = [sys.executable, "-c", "print(hash('a'))"]
    done = subprocess.run(command, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_cell_whose_warden_is_killed_takes_another() -> None:
    cell = Cell(Bounds(wall_s=WALL_S))
    assert cell.passes("pass")
    assert cell._warden is not None
    os.kill(cell._warden.pid, 9)
    assert not cell.passes("pass"), "it cannot be told whether this one would have passed"
    assert cell.passes("pass")
    cell.close()
    assert cell.passes("pass"), "closing is no end"
    cell.close()


def test_bounds_too_narrow_for_python_are_refused() -> None:
    cell = Cell(Bounds(wall_s=WALL_S, memory_mib=8))
    with pytest.raises(UsageError, match="within 8 MiB"):
        cell.check()
    cell.close()
