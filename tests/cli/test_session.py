"""Commands that drive a study, as far as they go without training: what waits, what is refused, how it ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence

import pytest
from tests.stories import Story
from tests.studies import told

from tunewright import app
from tunewright import settings as settings_
from tunewright.cli.door import run
from tunewright.cli.session import EXIT_CODES, end, options_of
from tunewright.domain import event as ev
from tunewright.domain.errors import SandboxError, UsageError
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.settings import Settings

Write = Callable[[Sequence[ev.Event]], str]
Capture = pytest.CaptureFixture[str]


def test_review_without_a_terminal_and_without_answers_shows_what_waits(
    write: Write, plan_waits: list[ev.Event], capsys: Capture
) -> None:
    write(plan_waits)
    assert run(["review", "plan-01"]) == 3
    shown = capsys.readouterr()
    assert "expect" in shown.err
    assert shown.err.splitlines()[-1] == "waiting for review: tunewright review plan-01 --approve plan"
    assert shown.out == ""


def test_resuming_what_waits_opens_no_session_where_nobody_can_answer(
    write: Write, plan_waits: list[ev.Event], capsys: Capture
) -> None:
    write(plan_waits)
    journal = settings_.load().studies / "plan-01" / "journal.jsonl"
    before = journal.read_bytes()
    assert run(["resume", "plan-01"]) == 3
    assert "waiting for review: tunewright review plan-01 --approve plan" in capsys.readouterr().err
    assert journal.read_bytes() == before


def test_review_json_without_answers(write: Write, batch: Story, capsys: Capture) -> None:
    write([*batch.events, ev.SessionClosed(reason="waits")])
    assert run(["review", "route-01", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "waiting"
    assert found["waiting_for"] == ["t0", "t1", "t2"]
    assert found["next"] == "tunewright review route-01 --approve all"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--approve", "9"], "'9' does not wait for review"),
        (["--approve", "plan"], "'plan' does not wait for review"),
        (["--reject", "1"], "owes a reason"),
        (["--approve", "1", "--reject", "1", "--reason", "x"], "answered twice"),
        (["--edit", "2"], "changes nothing"),
        (["--edit", "2", "lr"], "'lr' is not PATH=VALUE"),
        (["--reason", "because"], "--reason without"),
    ],
)
def test_answers_that_do_not_hold_file_nothing(
    options: list[str], said: str, write: Write, batch: Story, capsys: Capture
) -> None:
    write([*batch.events, ev.SessionClosed(reason="waits")])
    assert run(["review", "route-01", *options]) == 2
    assert said in capsys.readouterr().err
    assert app.status("route-01").waiting_for == ("t0", "t1", "t2")


def test_a_study_that_waits_for_nothing(write: Write, capsys: Capture) -> None:
    write(told().events)
    assert run(["review", "route-01", "--approve", "all"]) == 2
    assert "waits for no review" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "code", "last"),
    [
        ("winner", 0, None),
        ("no-winner", 4, None),
        ("paused", 130, "paused: tunewright resume route-01"),
        ("waiting", 3, "waiting for review: tunewright review route-01 --approve all"),
    ],
)
def test_where_a_study_stands_is_the_exit_code(
    state: str, code: int, last: str | None, write: Write, batch: Story, capsys: Capture
) -> None:
    events = {
        "winner": told().events,
        "no-winner": told(winner=False).events,
        "paused": told().events[:12],
        "waiting": batch.events,
    }[state]
    write(events)
    summary = summarise(Study(events))
    assert summary.state == state
    assert end(summary, settings_.load(), json=False) == code == EXIT_CODES[summary.state]
    shown = capsys.readouterr()
    assert shown.err.splitlines()[-1:] == ([last] if last else [])
    assert ("winner" in shown.out) == (last is None)


def test_a_second_ctrl_c_names_the_study(write: Write, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """What the app raises when a person insists."""
    name = write(told().events[:12])

    def insist(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(app, "resume", insist)
    assert run(["resume", "--json"]) == 130
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"error": "ended at once", "hint": f"tunewright resume {name}"}


@pytest.mark.parametrize("error", [SandboxError("the engine is gone", "start it"), ZeroDivisionError("boom")])
def test_a_failure_in_a_study_says_how_it_goes_on(
    error: Exception, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    name = write(told().events[:12])

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(app, "resume", fail)
    assert run(["resume", name]) == 1
    assert capsys.readouterr().err.splitlines()[-1].strip() == f"the study is kept: tunewright resume {name}"


def test_options_of_a_study() -> None:
    plain = {
        "review": "never", "sandbox": "docker", "sampler": "tpe", "pruner": "none",
        "seed": 3, "gpus": 0, "memory_gib": None, "skip_bad_rows": False,
    }  # fmt: skip
    settings = Settings(usd_per_device_hour=2.0)
    made = options_of(sandbox_options=["image=a=b", "host-env=yes"], usd_per_device_hour=None, **plain)(settings)
    assert made.sandbox_options == {"image": "a=b", "host-env": "yes"}
    assert made.prices.usd_per_device_hour == 2.0
    assert made.seed == 3
    assert "slots" not in made.model_fields_set, "settled with the machine"
    assert options_of(sandbox_options=[], usd_per_device_hour=None, slots=2, **plain)(settings).slots == 2
    free = options_of(sandbox_options=[], usd_per_device_hour=0.0, **plain)(settings)
    assert free.prices.usd_per_device_hour == 0.0, "a price that is given wins, even if it is nothing"


def test_language_models_are_the_commands_or_else_the_environments() -> None:
    settings = settings_.load({"TUNEWRIGHT_LLM": "openai/a, proposer=ollama/b:7b"})

    def made(*words: str) -> ev.StudyOptions:
        return options_of(sandbox_options=[], usd_per_device_hour=None, llm=words)(settings)

    assert (made().llm, made().llms) == ("openai/a", {"proposer": "ollama/b:7b"})
    assert (made("openai/c").llm, made("openai/c").llms) == ("openai/c", {})
    assert not made("none").asks_models
    with pytest.raises(UsageError, match="unknown role"):
        made("propozer=openai/a")
