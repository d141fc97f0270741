"""Tests run against answers, friendly and hostile ones: each ends with a score."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from tests.training.rewards.courts import answers, scores

from tunewright.domain.errors import UsageError
from tunewright.tools.contract import FaultError
from tunewright.tools.training.rewards.unit_tests import code_of

TESTS = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0", "assert add('a', 'b') == 'ab'", "assert add(0.5, 0) == 0.5"]
META = [{"tests": TESTS}]
RIGHT = "def add(a, b):\n    return a + b\n"


def test_the_share_of_passed_tests_counts() -> None:
    texts = [RIGHT, "def add(a, b): return int(a) + int(b)", "def add(a, b): return 7", "def add(", "hello", ""]
    assert scores("unit_tests", answers(texts, meta=META)) == [1.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert scores("unit_tests", answers(texts[:2], meta=META), all_or_nothing=True) == [1.0, 0.0]


def test_code_is_taken_from_the_last_fence() -> None:
    fenced = f"First:\n```python\nadd = None\n```\nno, this:\n```py\n{RIGHT}```\nDone."
    assert code_of(fenced) == RIGHT and code_of(RIGHT) == RIGHT
    assert code_of(f"```\n{RIGHT}") == RIGHT, "cut off before the fence is closed"
    assert code_of("```python\ntext = '''a ``` b'''\n```") == "text = '''a ``` b'''\n"
    assert scores("unit_tests", answers([fenced], meta=META)) == [1.0]


def test_tests_may_be_a_list_as_text_or_one_piece_and_have_a_setup() -> None:
    metas: list[dict[str, Any]] = [
        {"tests": '["assert add(1, 1) == 2", "assert 0"]', "before": "import math"},
        {"tests": "assert add(1, 1) == 2\nassert root(4) == 2", "before": ["import math", "root = math.sqrt"]},
    ]
    given = answers([RIGHT + "root = math.sqrt\n"] * 2, meta=metas)
    assert scores("unit_tests", given, setup="before") == [0.5, 1.0]


@pytest.mark.parametrize(
    "meta", [{}, {"tests": []}, {"tests": 3}, {"tests": [1]}, {"tests": None}, {"checks": ["assert 1"]}]
)
def test_rows_without_tests_are_the_datas_fault(meta: dict[str, Any]) -> None:
    with pytest.raises(FaultError, match="row r0 has no Python in column 'tests'") as raised:
        scores("unit_tests", answers([RIGHT], meta=[meta]))
    assert raised.value.fault.kind == "data"


HOSTILE = {
    "never ends": "def add(a, b):\n    while True: pass",
    "never begins": "while True: pass",
    "sleeps": "import time; time.sleep(99)",
    "forks": "import os\nwhile True: os.fork()",
    "hogs memory": "hog = []\nwhile True: hog.append(bytes(10**7))",
    "leaves early": "import os\ndef add(a, b): os._exit(0)",
    "leaves politely": "def add(a, b): raise SystemExit(0)",
    "kills its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "kills everybody": "import os\nos.kill(-1, 9)",
    "crashes": "import ctypes\nctypes.string_at(0)",
    "floods": "import os\nwhile True: os.write(3, b'x' * 4096)",
    "prints what would be a verdict": "print('{\"passed\": true}')",
    "surrogates": "x = '\ud800'",
    "nul": "x = 1\0",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_hostile_code_ends_with_a_score_of_nothing(code: str) -> None:
    began = time.monotonic()
    given = answers([code, RIGHT], meta=[{"tests": TESTS[:1]}])
    assert scores("unit_tests", given, timeout_s=1) == [0.0, 1.0], "and the answer after it has its own"
    assert time.monotonic() - began < 20


def test_no_file_outside_is_written(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    code = f"open({str(outside)!r}, 'w').write('x')\n{RIGHT}"
    assert scores("unit_tests", answers([code], meta=META)) == [0.0] and not outside.exists()


def test_no_socket_reaches_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)\n{RIGHT}"
        assert scores("unit_tests", answers([code], meta=META)) == [0.0]
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_environment_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    code = f"import os\nassert 'SECRET' not in os.environ\n{RIGHT}"
    assert scores("unit_tests", answers([code], meta=META)) == [1.0]


def test_limits_in_which_python_cannot_run_are_refused() -> None:
    with pytest.raises(UsageError, match="memory_mib"):
        scores("unit_tests", answers([RIGHT], meta=META), memory_mib=1)
