"""Commands that read: real journals in a home, and what is printed for people and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.stories import DATA, MODEL, Story, space, task
from tests.studies import told

from tunewright.cli.door import run
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.job import Limits, TrialSpec
from tunewright.domain.outcome import Paused
from tunewright.tracking.identity import code_identity
from tunewright.tracking.journal import Journal

Write = Callable[[Sequence[ev.Event]], str]
Capture = pytest.CaptureFixture[str]


def test_status_as_json_is_the_summary(write: Write, capsys: Capture) -> None:
    write(told().events)
    assert run(["status", "route-01", "--json"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert shown.err == ""
    assert found["state"] == "winner"
    assert found["trials"] == 8
    assert found["base_score"] == 0.118
    assert found["spent"].keys() == found["budget"].keys()
    assert found["next"] == f"tunewright reproduce {found['best_run_id']}"


def test_status_of_a_finished_study(write: Write, capsys: Capture) -> None:
    write(told().events)
    assert run(["status"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "study        route-01, winner"
    assert "memory: 7.9 of 6.0 GiB" in text
    assert re.search(r"than #\d", text) and not re.search(r"than t\d", text)
    assert "tunewright export" in text


def test_where_the_runs_are_shown(write: Write, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    write(told().events)
    run(["status"])
    assert "runs         mlflow ui --backend-store-uri sqlite:///" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    run(["status"])
    assert capsys.readouterr().out.splitlines()[-1] == "runs         http://127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:hidden@example.org")
    run(["status"])
    assert capsys.readouterr().out.splitlines()[-1] == "runs         https://***@example.org"


@pytest.mark.parametrize("winner", [True, False])
def test_status_is_0_however_the_study_ended(winner: bool, write: Write) -> None:
    write(told(winner=winner).events)
    assert run(["status", "route-01"]) == 0


def test_status_shows_what_waits(write: Write, plan_waits: list[ev.Event], capsys: Capture) -> None:
    write(plan_waits)
    assert run(["status"]) == 0
    text = capsys.readouterr().out
    assert "expect" in text
    assert text.splitlines()[-1] == "next         tunewright review plan-01 --approve plan"


def test_status_of_a_paused_study_says_why(write: Write, batch: Story, capsys: Capture) -> None:
    for target in ("t0", "t1", "t2"):
        batch.decide(target)
    said = "trial t0 is not what was approved: recipe, code, data, image or limits have changed"
    write([*batch.events, ev.SessionClosed(at=batch.now, reason=said)])
    assert run(["status"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "study        route-01, paused"
    assert f"why          {said.replace('t0', '#0')}" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "why          stopped by Ctrl-C"),
        ({"git_commit": "e" * 40}, "why          stopped by Ctrl-C"),
        ({"digest": "e" * 64}, "why          the code has changed since #0 was approved: bring back what it was"),
        ({"packages": {"torch": "0.1"}}, "why          packages have changed since #0 was approved"),
    ],
)
def test_status_says_that_a_trial_cannot_go_on(
    changed: dict[str, object], said: str, home: Path, write: Write, batch: Story, capsys: Capture
) -> None:
    for target in ("t0", "t1", "t2"):
        batch.decide(target)
    batch.launch("t0")
    batch.tell(ev.JobEnded(at=batch.tick(), job="t0", outcome=Paused(reason="stopped by Ctrl-C", cost=Cost())))
    write([*batch.events, ev.SessionClosed(at=batch.now, reason="stopped by Ctrl-C")])
    spec = TrialSpec(
        id="t0",
        study="route-01",
        task=task(),
        model=MODEL,
        data=DATA,
        recipe=batch.study.proposals["t0"].recipe,
        limits=Limits(wall_s=60, memory_gib=1, threads=1),
        code=code_identity().model_copy(update=changed),
        sandbox="process",
    )
    folder = home / "studies" / "route-01" / "trials" / "t0"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(spec.model_dump_json())
    assert run(["status"]) == 0
    assert said in capsys.readouterr().out


def test_status_after_a_crash_says_so(write: Write, batch: Story, capsys: Capture) -> None:
    for target in ("t0", "t1", "t2"):
        batch.decide(target)
    write(batch.events)
    assert run(["status"]) == 0
    assert "why          its process ended without closing it" in capsys.readouterr().out


def test_status_of_a_study_that_runs_now(home: Path, batch: Story, capsys: Capture) -> None:
    """The journal is held, as by a running process, and the job has written some steps."""
    for target in ("t0", "t1", "t2"):
        batch.decide(target)
    batch.launch("t1")
    out = home / "studies" / "route-01" / "trials" / "t1" / "out"
    out.mkdir(parents=True)
    step = {"kind": "progressed", "at": 1.0, "step": 40, "of": 225, "loss": 0.731}
    (out / "events.jsonl").write_text(json.dumps(step) + '\n{"kind": "of another version"}\n{"kind": "progre')
    with Journal(home / "studies" / "route-01") as journal:
        for one in batch.events:
            journal.append(one)
        assert run(["status"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "study        route-01, running"
    assert "40/225" in text
    assert "loss 0.731" in text


def test_follow_shows_it_from_the_start_and_ends_with_it(write: Write, capsys: Capture) -> None:
    write(told().events)
    assert run(["status", "--follow"]) == 0
    shown = capsys.readouterr()
    assert "understood" in shown.err
    assert "winner" in shown.out


def test_studies(write: Write, plan_waits: list[ev.Event], home: Path, capsys: Capture) -> None:
    """A damaged journal is listed with what is wrong, and hides no other."""
    write(told().events)
    write(plan_waits)
    (home / "studies" / "bad-01").mkdir()
    (home / "studies" / "bad-01" / "journal.jsonl").write_text('{"kind": "who knows"}\n')
    assert run(["studies", "--json"]) == 0
    rows = {row["study"]: row for row in json.loads(capsys.readouterr().out)["studies"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "route-01": "winner",
        "plan-01": "waiting",
        "bad-01": "unreadable",
    }
    assert run(["studies"]) == 0
    assert "tunewright review plan-01 --approve plan" in capsys.readouterr().out
    assert run(["status", "bad-01"]) == 1
    assert "line 1" in capsys.readouterr().err


def test_without_a_name_the_latest_is_meant(write: Write, home: Path, capsys: Capture) -> None:
    for name in ("one-01", "two-01"):
        write(Story(name=name, space=space(), task=task()).events)
    assert run(["status"]) == 0
    assert "two-01" in capsys.readouterr().out


def test_report(write: Write, home: Path, capsys: Capture) -> None:
    write(told().events)
    assert run(["report", "route-01", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["html"]).read_text().lstrip().lower().startswith("<!doctype html>")
    assert Path(found["markdown"]).is_file()
