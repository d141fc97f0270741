"""Whole studies through the command line, with the replay sandbox in place of training: everything else is real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli.terminal import MAIN, Terminal

from tunewright.cli.door import run

BRIEF = "Teach tiny to label rows.jsonl (field label). Maximise accuracy. At most 5 minutes and 4 trials."
PLAY = ("--sandbox", "replay")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def rows(home: Path) -> Path:
    """240 rows of two labels in the working directory."""
    path = home.parent / "rows.jsonl"
    lines = [{"text": f"row {i} {'up' if i % 2 else 'down'}", "label": "odd" if i % 2 else "even"} for i in range(240)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def given(capsys: Capture) -> tuple[dict[str, Any], str]:
    """The one object on stdout, and what was on stderr."""
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1, "one object on one line"
    return json.loads(shown.out), shown.err


def test_a_study_from_brief_to_reproduction(rows: Path, home: Path, capsys: Capture) -> None:
    assert run(["run", BRIEF, "--study", "odd-01", "--review", "never", *PLAY, "--json"]) == 0
    summary, told = given(capsys)
    assert summary["state"] == "winner"
    assert summary["trials"] == 4
    assert summary["best_score"] > summary["base_score"]
    assert summary["base_test_score"] is not None
    assert summary["spent"]["trials"] <= summary["budget"]["trials"]
    assert told.count("base model   accuracy") == 1
    assert told.count("new best") >= 1

    assert run(["status", "odd-01"]) == 0
    shown = capsys.readouterr().out
    assert f"tunewright reproduce {summary['best_run_id']}" in shown
    assert "report.html" in shown
    assert (home / "studies" / "odd-01" / "report.html").is_file()

    assert run(["reproduce", summary["best_run_id"], "--json"]) == 0
    again, _ = given(capsys)
    assert again["verdict"] == "bit-identical"


def test_a_study_reviewed_by_command(rows: Path, capsys: Capture) -> None:
    assert run(["run", BRIEF, "--study", "odd-01", *PLAY, "--json"]) == 3
    summary, told = given(capsys)
    assert summary["waiting_for"] == ["plan"]
    assert told.splitlines()[-1] == "waiting for review: tunewright review odd-01 --approve plan"
    assert told.count('plan         "odd-01"') == 1

    assert run(["review", "odd-01", "--approve", "plan"]) == 3
    told = capsys.readouterr().err
    assert "differs from default" in told
    assert told.splitlines()[-1] == "waiting for review: tunewright review odd-01 --approve all"

    outside = ["--edit", "1", "stages.0.optimisation.lr=7", "--approve", "all"]
    assert run(["review", "odd-01", *outside]) == 2
    assert "stages.0.optimisation.lr: 7" in capsys.readouterr().err

    answers = ["--edit", "0", "stages.0.optimisation.lr=3e-4", "--reject", "1", "--reason", "not that one"]
    code = run(["review", "odd-01", *answers, "--approve", "all"])
    told = capsys.readouterr().err
    assert "edited: lr 5e-4 -> 3e-4; now" in told
    assert "rejected by person: not that one" in told
    while code == 3:
        code = run(["review", "odd-01", "--approve", "all", "--json"])
        summary, _ = given(capsys)
    assert code in (0, 4)
    assert summary["trials"] == 4
    assert "t1" not in [trial["id"] for trial in summary["trial_list"]]


def test_a_study_in_which_everything_fails_has_no_winner(rows: Path, capsys: Capture) -> None:
    option = ["--sandbox-option", "fault=job=training:config"]
    assert run(["run", BRIEF, "--study", "odd-01", "--review", "never", *PLAY, *option]) == 4
    shown = capsys.readouterr()
    assert "config fault" in shown.err
    assert shown.out.strip().startswith("winner       none: no trial was completed")
    assert run(["status", "odd-01", "--json"]) == 0
    assert given(capsys)[0]["state"] == "no-winner"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sampler", "tqe"], "unknown sampler 'tqe'"),
        (["--pruner", "mediam"], "unknown pruner 'mediam'"),
        (["--sandbox", "dokcer"], "unknown sandbox 'dokcer'"),
        ([*PLAY, "--sandbox-option", "second=1"], "has no option 'second'"),
        (["--study", "No Name"], "'No Name' is no study name"),
        (["--llm", "scripted:missing.json"], "missing.json"),
        (["--llm", "propozer=openai/a"], "unknown role 'propozer'"),
        (["--llm", "openai/a", "--llm", "openai/b"], "two language models"),
        (["--llm", "replay:nowhere"], "no recording"),
    ],
)
def test_wrong_options_leave_no_study(options: list[str], said: str, rows: Path, home: Path, capsys: Capture) -> None:
    assert run(["run", BRIEF, "--review", "never", *options]) == 2
    assert said in capsys.readouterr().err
    assert not list((home / "studies").glob("*"))


def test_a_brief_without_a_budget(rows: Path, home: Path, capsys: Capture) -> None:
    assert run(["run", "Teach tiny to label rows.jsonl.", "--json"]) == 2
    found, _ = given(capsys)
    assert "could not find a budget" in found["error"]
    assert "At most 30 minutes" in found["hint"]
    assert not list((home / "studies").glob("*"))


def test_at_a_terminal_from_the_plan_to_the_winner(rows: Path) -> None:
    terminal = Terminal(MAIN, "run", BRIEF, "--study", "odd-01", *PLAY)
    terminal.expect("[a]pprove", timeout_s=120)
    terminal.type("a\n")
    terminal.expect("differs from default", timeout_s=120)
    terminal.expect("[a]ll")
    terminal.type("a\n")
    terminal.expect("budget", timeout_s=120)
    terminal.expect("[a]ll", timeout_s=120)
    terminal.type("a\n")
    out, code = terminal.end()
    assert code == 0
    assert out.lstrip().startswith("winner ")


def test_ctrl_c_pauses_and_resume_finishes(rows: Path, capsys: Capture) -> None:
    slow = ["--sandbox-option", "seconds=1.5"]
    terminal = Terminal(MAIN, "run", BRIEF, "--study", "odd-01", "--review", "never", *PLAY, *slow)
    terminal.expect("base model   accuracy", timeout_s=120)
    terminal.expect("#0", timeout_s=120)
    time.sleep(0.3)
    terminal.process.send_signal(signal.SIGINT)
    terminal.expect("paused: tunewright resume odd-01", timeout_s=120)
    assert terminal.end()[1] == 130
    assert run(["resume", "--json"]) == 0
    summary, _ = given(capsys)
    assert summary["trials"] == 4


def test_a_second_process_is_told_who_is_first(rows: Path, capsys: Capture) -> None:
    slow = ["--sandbox-option", "seconds=60"]
    first = subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", BRIEF, "--study", "odd-01", "--review", "never", *PLAY, *slow],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ, start_new_session=True,
    )  # fmt: skip
    try:
        assert first.stderr is not None
        while "model " not in first.stderr.readline():
            assert first.poll() is None
        assert run(["resume", "odd-01"]) == 2
        told = capsys.readouterr().err
        assert f"study odd-01 is being run by process {first.pid}" in told
        assert "tunewright status odd-01" in told
    finally:
        first.kill()
        first.communicate()
