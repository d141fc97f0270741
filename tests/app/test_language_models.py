"""Whole studies with language models behind real HTTP on loopback: roles, pauses and resumes, and offline replays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import replayed
from tests.app.test_killed import start
from tests.support.openai_server import OpenAiServer, Reply, Request
from tests.support.pace import Pace

import tunewright as tw
from tunewright.agents.brains.recording import read_recording
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import AccessError, UnknownNameError, UsageError
from tunewright.domain.live import Live, Said
from tunewright.domain.study import Study
from tunewright.domain.summary import Summary
from tunewright.settings import Settings
from tunewright.tracking.journal import events

KEY = "sk-test-0123456789abcdef"
PROBED = [Reply('{"hue": "red", "size": 3}'), Reply(None, calls=[("note", '{"word": "ready"}')])]


class Model:
    """A stub of a model that knows its roles by their prompts, and fails when it is told to."""

    def __init__(self, brief: str) -> None:
        [file] = re.findall(r"\S+rows\.jsonl", brief)
        self.understood = {
            "model": "tiny", "files": [file], "format": "label", "input_field": "text", "target_field": "label",
            "metric": "accuracy", "budget": {"wall_minutes": 10, "trials": 6},
        }  # fmt: skip
        self.ideas = 0
        self.faults: list[Reply] = []
        self.may = threading.Event()
        """Ideas are not given before."""
        self.may.set()

    def __call__(self, request: Request) -> Reply:
        prompt = str(request["messages"][0]["content"])
        if prompt.startswith(("Name a colour", "Call the function")):
            return PROBED["tools" in request]
        if self.faults:
            return self.faults.pop(0)
        if prompt.startswith("You plan a fine-tuning study"):
            return self.said(summary="as the rules have it", changes=[])
        if "refuted" in prompt or "hypothesis" in prompt:
            assert self.may.wait(60), "it was never let"
            self.ideas += 1
            return self.said(ideas=[self.idea(size) for size in (8, 16, 32, 9999)])
        if "teach" in prompt.lower() and "lessons" in prompt:
            return self.said(lessons=[])
        return self.said(**self.understood)

    def idea(self, size: int) -> dict[str, Any]:
        return {
            "hypothesis": f"idea {self.ideas}: {size} at a time are enough",
            "edits": [{"path": "stages.0.optimisation.batch_size", "value": size}],
            "refuted_if": "it is worse than t0 by 0.01",
            "test": {"quantity": "gain", "relation": "<", "value": -0.01, "trial": "t0"},
        }

    @staticmethod
    def said(**answer: Any) -> Reply:
        return Reply(json.dumps(answer))


@pytest.fixture
def model(brief: str) -> Model:
    return Model(brief)


@pytest.fixture
def server(model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAiServer]:
    with OpenAiServer(model) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


@pytest.fixture
def six(brief: str) -> str:
    return brief.replace("3 trials", "6 trials")


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    """Who waits two seconds for a language model."""
    return settings.model_copy(update={"llm_patience_s": 2.0})


def run(brief: str, settings: Settings, name: str = "a", **options: object) -> Summary:
    return tw.run(brief, study=name, options=replayed(cold=True, **options), settings=settings)


def paced(brief: str, settings: Settings, folder: Path, **options: object) -> Summary:
    """The same, with trials that last as long as language models have something to say."""
    pace = Pace(folder)
    options = {"cold": True, "sandbox_options": pace.options, **options}
    return tw.run(brief, study="a", options=replayed(**options), settings=settings, observer=pace)


def told(settings: Settings, name: str = "a") -> list[ev.Event]:
    return events(settings.studies / name)[0]


def decided(study: Study) -> tuple[Any, ...]:
    """What a replay has to come to: the plan and the proposals, by their hashes."""
    assert study.plan is not None
    plan = study.plan.binding
    recipes = {id: (one.recipe.fingerprint, one.idea.origin, one.idea.reason) for id, one in study.proposals.items()}
    return plan, study.plan.expect.llm_tokens, recipes


def test_a_study_is_planned_recorded_and_replayed_offline(
    six: str,
    settings: Settings,
    server: OpenAiServer,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Its first ideas come a trial late: the trial that they would have been in time for is run without them, and the
    replay, whose answers are there at once, takes them in as late."""
    pace = Pace(tmp_path / "pace", hasty={"t3"})

    def observe(one: ev.Event | Live | Said) -> None:
        if isinstance(one, ev.JobLaunched) and one.job == "t4":
            model.may.set()
        pace(one)

    model.may.clear()
    options = replayed(cold=True, llm="openai/stub", sandbox_options=pace.options)
    summary = tw.run(six, study="a", options=options, settings=settings, observer=observe)
    study, order = tw.load("a", settings=settings), told(settings)
    launched = next(at for at, one in enumerate(order) if isinstance(one, ev.JobLaunched) and one.job == "t4")
    answered = next(at for at, one in enumerate(order) if isinstance(one, ev.Advised))
    assert answered > launched and study.proposals["t4"].idea.origin == "sampler"
    made = study.proposals["t5"].idea
    assert made.hypothesis is not None and made.hypothesis.refuted_if.says() == "gain over t0 < -0.01"
    assert "9999 is outside" in str(study.stock.advised[0].dropped)
    assert len(study.stock.waiting) == len(study.stock.advised[0].ideas) - 1 >= 1
    assert "9999 is outside" in (settings.studies / "a" / "report.html").read_text()
    assert summary.state in ("winner", "no-winner") and summary.trials == 6
    assert "planner" in {one.idea.origin for one in study.proposals.values()}
    probed = [one for one in told(settings) if isinstance(one, ev.ModelProbed)]
    assert [(one.model, one.form, one.tools) for one in probed] == [("openai/stub", "schema", True)]
    asked = [one for one in told(settings) if isinstance(one, ev.ModelAsked)]
    calls = read_recording(settings.studies / "a")
    assert len(calls) == len(server.requests) and all(call.prompt and call.key for call in calls)
    lines = (settings.studies / "a" / "calls.jsonl").read_text().splitlines()
    assert [one.record for one in asked] == [json.loads(line)["digest"] for line in lines]
    assert {"probe", "planner", "proposer"} <= {one.role for one in asked}
    assert study.spent().llm_tokens == sum(server.billed) and KEY not in "".join(lines)

    requests = len(server.requests)
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    again = run(six, settings, "b", llm="replay:a")
    assert len(server.requests) == requests
    assert decided(tw.load("b", settings=settings)) == decided(study)
    assert (again.state, again.winner, again.best_score) == (summary.state, summary.winner, summary.best_score)


def test_a_scripted_study_replays_too(six: str, settings: Settings, model: Model, tmp_path: Path) -> None:
    idea = {"hypothesis": "h", "edits": [{"path": "stages.0.optimisation.batch_size", "value": 8}], "refuted_if": "r"}
    script = tmp_path / "script.jsonl"
    entries = [
        {"role": "planner", "answer": "I think so."},
        {"role": "planner", "answer": model.understood, "tokens": 90},
        {"role": "proposer", "answer": idea, "tokens": 40},
    ]
    script.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    run(six, settings, llm=f"scripted:{script}")
    script.unlink()
    run(six, settings, "b", llm="replay:a")
    run(six, settings, "c", llm="replay:b")
    first = decided(tw.load("a", settings=settings))
    assert "'planner'" in str(first)
    assert [decided(tw.load(name, settings=settings)) for name in ("b", "c")] == [first, first]


def test_roles_have_models_of_their_own(six: str, settings: Settings, server: OpenAiServer, tmp_path: Path) -> None:
    models = {"planner": "none", "proposer": "openai/small"}
    paced(six, settings, tmp_path / "pace", llm="openai/large", llms=models)
    by_role = {one.role: one.model for one in told(settings) if isinstance(one, ev.ModelAsked) and one.role != "probe"}
    assert by_role["proposer"] == "openai/small" and "planner" not in by_role
    assert by_role.get("reflection", "openai/large") == "openai/large"
    probed = [one.model for one in told(settings) if isinstance(one, ev.ModelProbed)]
    assert len(probed) == len(set(probed)), "each model is probed once a session"


def test_a_dead_server_pauses_the_study_and_rules_go_on_where_a_person_says_so(
    brief: str, hasty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    summary = run(brief, hasty, llm="openai/stub")
    assert (summary.state, summary.next) == ("paused", "tunewright resume a")
    assert "'openai/stub' did not answer" in summary.reason and summary.spent.llm_tokens == 0
    [warned] = [one.message for one in told(hasty) if isinstance(one, ev.Warned)]
    assert "tunewright resume a" in warned and "--llm none" in warned
    assert tw.resume("a", settings=hasty).state == "paused", "it asks again, and nothing falls back by itself"
    ended = tw.resume("a", llm=["none"], settings=hasty)
    assert ended.state == "winner" and ended.trials == 3
    assert [one.llm for one in told(hasty) if isinstance(one, ev.ModelsChosen)] == [None]
    assert Study(told(hasty)).options.llm is None


def test_a_server_that_goes_silent_while_trials_run_pauses_them_in_good_order(
    six: str, hasty: Settings, model: Model, server: OpenAiServer, tmp_path: Path
) -> None:
    class GoesSilent(Model):
        def __call__(self, request: Request) -> Reply:
            return Reply(status=503) if "You advise" in str(request["messages"]) else super().__call__(request)

    server._answer = GoesSilent(six)
    pace = Pace(tmp_path / "pace")
    options = replayed(cold=True, llm="openai/stub", slots=2, sandbox_options=pace.options)
    summary = tw.run(six, study="a", options=options, settings=hasty, observer=pace)
    study = tw.load("a", settings=hasty)
    assert summary.state == "paused" and "503" in summary.reason
    assert study.running == [], "what ran has written a checkpoint or come to its end"
    assert study.reserved().llm_tokens == 0
    ended = tw.resume("a", llm=["proposer=none"], settings=hasty, observer=pace)
    assert ended.state in ("winner", "no-winner") and ended.trials == 6
    assert ended.budget is not None and ended.budget.shortfalls(ended.spent, Cost()) == []


def test_a_refused_key_stops_with_exit_code_2_and_the_study_can_be_resumed(
    brief: str, settings: Settings, server: OpenAiServer, model: Model
) -> None:
    server._answer = lambda request: Reply(f"no such key {KEY}", status=401)
    with pytest.raises(AccessError) as caught:
        run(brief, settings, llm="openai/stub")
    assert caught.value.exit_code == 2 and KEY not in str(caught.value)
    assert "OPENAI_API_KEY" in caught.value.hint and "tunewright resume a" in caught.value.hint
    assert tw.status("a", settings=settings).state == "paused"
    server._answer = model
    assert tw.resume("a", settings=settings).state == "winner"


def test_three_bad_answers_leave_it_to_the_rules_with_a_warning(
    brief: str, settings: Settings, server: OpenAiServer, model: Model
) -> None:
    model.faults = [Reply("I would rather not.")] * 3
    assert run(brief, settings, llm="openai/stub").state == "winner"
    warned = [one.message for one in told(settings) if isinstance(one, ev.Warned)]
    assert any("read by rules instead of openai/stub" in message for message in warned)
    study = tw.load("a", settings=settings)
    assert study.task is not None and study.options.llm == "openai/stub"


def test_a_model_that_is_killed_over_is_counted_in_full_and_asked_with_the_same_key(
    brief: str, settings: Settings, server: OpenAiServer, model: Model
) -> None:
    """kill -9 while the server thinks: the reservation stays spent, and the repetition can be told for one."""
    server._answer = lambda request: (
        model(request) if len(request["messages"][0]["content"]) < 200 else Reply(hang_s=60)
    )
    process = start("run", brief, "--study", "a", "--review", "never", "--sandbox", "replay", "--llm", "openai/stub",
                    settings=settings)  # fmt: skip
    _until(lambda: len(server.requests) == 3, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = tw.load("a", settings=settings)
    held = before.reserved().llm_tokens
    assert held > 2048
    server._answer = model
    assert tw.resume("a", settings=settings).state == "winner"
    after = tw.load("a", settings=settings)
    assert after.reserved().llm_tokens == 0
    assert after.spent().llm_tokens == held + 100 * (len(server.requests) - 1)
    planner = [key for key, request in zip(server.keys(), server.requests, strict=True) if _reads(request)]
    assert len(planner) == 2 and len(set(planner)) == 1


def _reads(request: Request) -> bool:
    return str(request["messages"][0]["content"]).startswith("You read the brief")


def _until(done: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while not done() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert done(), (process.poll(), os.environ.get("OPENAI_API_BASE"))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"llms": {"propozer": "openai/a"}}, UnknownNameError),
        ({"llm": "scripted:missing.jsonl"}, UsageError),
        ({"llms": {"proposer": "replay:nowhere"}}, UsageError),
    ],
)
def test_a_model_that_cannot_be_had_leaves_no_study(
    options: dict[str, object], kind: type[Exception], brief: str, settings: Settings
) -> None:
    with pytest.raises(kind):
        run(brief, settings, **options)
    assert tw.studies(settings=settings) == []


def test_a_resume_with_a_model_that_cannot_be_had_changes_nothing(brief: str, settings: Settings) -> None:
    waiting = tw.run(brief, options=replayed(review="batch"), settings=settings)
    journal = settings.studies / waiting.study / "journal.jsonl"
    before = journal.read_bytes()
    for words in (["scripted:missing.jsonl"], ["propozer=openai/a"], [""]):
        with pytest.raises(UsageError):
            tw.resume(waiting.study, llm=words, settings=settings)
    assert journal.read_bytes() == before
