"""Every way a command can end badly: one clear line, the right exit code, and with --json one object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tunewright import app
from tunewright.cli import crash
from tunewright.cli.door import run
from tunewright.domain import event as ev

COMMANDS = (
    "run", "resume", "review", "status", "studies", "report", "reproduce", "export", "methods", "doctor",
)  # fmt: skip
HEAVY = (
    "tunewright.domain.event",
    "tunewright.app",
    "tunewright.domain.budget",
    "yaml",
    "rich",
    "torch",
    "mlflow",
    "langgraph",
)


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=["tunewright", *COMMANDS])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """What keeps --help under 0.3 s: it is a matter of imports, so imports are what is tested."""
    program = (
        "import sys; from tunewright.cli.door import run; code = run([*sys.argv[1:], '--help'])\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(code or (f'loaded {loaded}' if loaded else 0))"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: tunewright")


def test_no_arguments_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)
    assert "Exit codes" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tunewright 0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rvn"], "no such command 'rvn'. Did you mean 'run'?"),
        (["run"], "missing argument 'BRIEF'"),
        (["run", "x", "--revew", "never"], "no such option: --revew"),
        (["run", "x", "--review", "sometimes"], "'sometimes' is not one of 'always', 'batch', 'first', 'never'"),
        (["run", "x", "--gpus", "-1"], "invalid value for '--gpus'"),
        (["run", "x", "--seed", "half"], "invalid value for '--seed'"),
        (["run", "x", "--sandbox-option", "image"], "'image' is not KEY=VALUE"),
        (["run", "missing.md"], "no such file: 'missing.md'"),
        (["run", ""], "the brief is empty"),
        (["resume"], "there is no study that is paused or waiting"),
        (["status", "route-01"], "unknown study 'route-01'"),
        (["review", "route-01", "--approve", "all"], "unknown study 'route-01'"),
        (["methods", "adaptors"], "unknown kind of method 'adaptors'"),
    ],
)
def test_wrong_use_is_two_lines_and_code_2(
    arguments: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    error, *hint = shown.err.splitlines()
    assert error.startswith("error: ")
    assert said in error
    assert hint, "what to do next is owed"
    assert all(line.startswith("       ") for line in hint)
    assert shown.out == ""
    assert not home.exists() or not any(home.iterdir()), "wrong use leaves nothing behind"


@pytest.mark.parametrize("arguments", [["run"], ["status", "nope"], ["run", "nope.md"], ["methods", "nope"]])
def test_errors_as_json(arguments: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--json"]) == 2
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert set(found) == {"error", "hint"}
    assert found["error"] in shown.err


def test_the_unexpected_is_one_line_and_a_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder where the journal should be is nothing that anybody foresaw."""
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret")
    monkeypatch.setattr(app, "studies", lambda **_: 1 / 0 if os.environ["SOME_API_KEY"] else None)
    assert run(["studies"]) == 1
    shown = capsys.readouterr().err
    assert "error: something unexpected: ZeroDivisionError" in shown
    [log] = home.glob("crash-*.log")
    assert str(log) in shown
    assert "ZeroDivisionError" in log.read_text()


def test_a_crash_log_keeps_no_secret(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret")
    path = crash.keep(RuntimeError("401 for sk-very-secret at https://me:mine@example.org/x"))
    text = Path(path).read_text()
    assert "sk-very-secret" not in text
    assert "mine" not in text
    assert "<SOME_API_KEY>" in text


def test_a_crash_log_finds_a_place_when_the_home_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("not a folder")
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "home"))
    path = Path(crash.keep(ValueError("boom")))
    assert "boom" in path.read_text()
    path.unlink()


def test_an_interrupt_outside_a_study_is_130(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "studies", interrupted)
    assert run(["studies"]) == 130


def test_a_closed_pipe_is_no_crash(
    home: Path, write: Callable[[Sequence[ev.Event]], str], plan_waits: list[ev.Event]
) -> None:
    write(plan_waits)
    done = subprocess.run(
        f"{sys.executable} -c 'from tunewright.cli import main; main()' studies | true",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_libraries_that_print_do_not_spoil_json(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Prints of Python and of child processes go to stderr while a command with --json works."""

    def noisy(kind: str | None) -> dict[str, list[dict[str, str]]]:
        print("hello from a library")
        subprocess.run(["echo", "hello from a child"], check=True)
        return {"models": [{"kind": "tiny", "summary": "small"}]}

    monkeypatch.setattr(app, "methods", noisy)
    monkeypatch.setattr(sys, "stdout", open(1, "w", closefd=False))  # noqa: SIM115  a stream that has a file descriptor
    assert run(["methods", "--json"]) == 0
    sys.stdout.flush()
    shown = capfd.readouterr()
    assert json.loads(shown.out) == {"models": [{"kind": "tiny", "summary": "small"}]}
    assert "hello from a library" in shown.err
    assert "hello from a child" in shown.err
