"""Traces as made from a journal and a recording: what stands in them, and that they can be made again at any time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tests.stories import Story, planned, space, task

from tunewright.agents.brains.recording import NAME, Recording, read_recording
from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.agents.prompt import concerning, render, templates, versions
from tunewright.agents.traces.scribe import Scribe, Telling
from tunewright.agents.traces.steps import steps
from tunewright.domain import event as ev
from tunewright.domain.errors import TrackingError
from tunewright.domain.finding import Fact, Finding, Sentence
from tunewright.domain.tool import Tool
from tunewright.domain.trace import Trace
from tunewright.tracking.memory import MemoryStore, MemoryTraces
from tunewright.tracking.traces import TraceLog

SECRET = "sk-a-very-secret-thing"
ASKED = {"role": "evaluator", "calls": [{"name": "look", "arguments": {"at": 3}}, {"name": "leap"}], "tokens": 40}
BAD = {"role": "evaluator", "answer": {"count": 0}, "tokens": 20}
GOOD = {"role": "evaluator", "answer": {"count": 2, "why": f"the key is {SECRET}"}, "tokens": 30, "usd": 0.01}
NEW = ("piece", "source", "about", "ended", "ran", "wrote")
"""What recordings of earlier versions lack."""


class Answer(BaseModel):
    count: int = Field(gt=0)
    why: str = ""


class At(BaseModel):
    at: int


class Studied:
    """A study in a folder whose evaluator asks a scripted model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.story = Story(space=space(), task=task(), started=time.time())

    def tell(self, one: ev.Event) -> None:
        self.story.tell(one)
        self.write()

    def write(self) -> None:
        (self.folder / "journal.jsonl").write_text("".join(f"{one.model_dump_json()}\n" for one in self.story.events))

    def ask(self, *entries: dict[str, Any], prompt: str, role: str = "evaluator") -> None:
        script = self.folder / "script.jsonl"
        script.write_text("".join(json.dumps(one) + "\n" for one in entries))

        def record(one: ev.ModelAsked) -> None:
            self.tell(one.model_copy(update={"at": self.story.tick()}))

        brain = ScriptedBrain(script, record=record, keep=Recording(self.folder).keep)
        tools = (Tool("look", "Looks.", At, lambda arguments: f"{arguments.at} rows say so"),)
        brain.converse(role, prompt, Answer, tools)

    def explain(self, trial: str) -> None:
        facts, sentences = (Fact(id="f1", topic="gain", says="so"),), (Sentence(says="So.", cites=("f1",)),)
        one = ev.Explained(at=self.story.tick(), trial=trial, against="base", facts=facts, sentences=sentences)
        self.tell(one)

    def run(self) -> str:
        """A trial from its proposal to its explanation."""
        (job,) = self.story.propose([planned(self.story)])
        self.story.launch(job)
        self.story.complete(job, 0.8)
        self.story.judge(job, "base")
        self.explain(job)
        return job


@pytest.fixture
def studied(tmp_path: Path) -> Studied:
    studied = Studied(tmp_path / "route-01")
    studied.story.launch("base", role="base")
    studied.story.complete("base", 0.1)
    studied.write()
    return studied


def question(*jobs: str) -> str:
    return concerning(render("compare", question="which?", prompt="p", first="a", second="b"), *jobs)


def answered(traces: list[Trace]) -> Trace:
    (one,) = [trace for trace in traces if trace.role]
    return one


def test_a_piece_of_work_is_one_trace_of_calls_and_tools(studied: Studied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hunter2hunter2")
    began = time.time()
    studied.ask(ASKED, BAD, BAD, GOOD, prompt=question("t1"))
    one = answered(Telling(studied.folder).changed())
    assert (one.name, one.role, one.jobs) == ("evaluator", "evaluator", ("t1",))
    assert one.prompt == f"compare@{versions()['compare']}"
    root, *spans = one.spans
    assert [(span.kind, span.name) for span in spans] == [
        ("CHAT_MODEL", "scripted:script.jsonl"), ("TOOL", "look"), ("TOOL", "leap"),
        *[("CHAT_MODEL", "scripted:script.jsonl")] * 3,
    ]  # fmt: skip
    assert [bool(span.error) for span in spans] == [False, False, True, True, True, False]
    assert spans[1].inputs == {"at": 3} and spans[1].outputs == '"3 rows say so"'
    assert "leap" in spans[2].error and "count" in spans[4].error
    assert [span.usage.tokens for span in spans if span.usage is not None] == [40, 20, 20, 30]
    assert all(began <= span.start <= span.end <= time.time() for span in one.spans)
    assert root.outputs["count"] == 2 and not root.error
    assert SECRET not in one.model_dump_json() and "***" in one.model_dump_json()
    shown = [span.inputs["messages"][0]["content"] for span in spans if span.kind == "CHAT_MODEL"]
    assert shown[0].startswith(question()[:20]) and shown[1] == '"3 rows say so"', "a round shows what it adds"
    assert shown[2].startswith(question()[:20]) and "3 rows say so" in shown[2]
    assert spans[4].error == f"of no use: {shown[3]}"


def test_the_recording_and_the_journal_say_which_prompt_it_was(studied: Studied) -> None:
    studied.ask(ASKED, GOOD, prompt=question("t1"))
    source = f"compare@{versions()['compare']}"
    calls = read_recording(studied.folder)
    assert {call.source for call in calls} == {source} and len({call.piece for call in calls}) == 1
    told = [one for one in studied.story.events if isinstance(one, ev.ModelAsked)]
    assert [one.prompt for one in told] == [source, source]


def test_a_prompt_s_version_is_its_text_s_with_what_it_includes() -> None:
    assert "{% include" not in "".join(templates().values())
    assert templates()["critic"].strip() in templates()["critic_cost"]
    assert len(set(versions().values())) == len(templates())


def test_a_recording_of_an_earlier_version_is_told_as_well(studied: Studied) -> None:
    studied.ask(ASKED, BAD, GOOD, prompt=question("t1"))
    studied.explain("t7")
    now = answered(Telling(studied.folder).changed())
    path = studied.folder / NAME
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in one.items() if k not in NEW}) + "\n" for one in lines))
    then = answered(Telling(studied.folder).changed())
    assert [(span.kind, span.name) for span in then.spans] == [(span.kind, span.name) for span in now.spans]
    assert then.jobs == ("t7",), "as the explanation that followed says"
    assert then.spans[0].end > then.spans[0].start, "a call ended when the journal says so"


def test_a_proposer_s_work_is_about_the_trials_that_came_of_it(studied: Studied) -> None:
    asked = {"role": "proposer", "answer": {"count": 1}}
    studied.ask(asked, prompt=question(), role="proposer")
    ideas = [
        planned(studied.story).model_copy(update={"origin": "planner", "reason": f"idea {number}"}) for number in (1, 2)
    ]
    studied.tell(ev.Advised(at=studied.story.tick(), ideas=tuple(ideas), asked_after=0, by="scripted:script.jsonl"))
    studied.story.propose([planned(studied.story)])
    smaller = ideas[1].model_copy(update={"reason": "idea 2; 0.5 of its passes, after 3 losses"})
    (trial,) = studied.story.propose([smaller])
    studied.write()
    assert answered(Telling(studied.folder).changed()).jobs == (trial,)


def test_the_steps_of_a_study_without_a_model_are_told(studied: Studied) -> None:
    good, bad = studied.run(), studied.story.propose([planned(studied.story)])[0]
    studied.story.launch(bad)
    studied.story.fail(bad, "memory", "7.9 of 6.0 GiB")
    found = Finding(by="reflector", trials=(good, bad), says="x" * 5000)
    studied.tell(ev.Reflected(at=studied.story.tick(), trials=(good, bad), findings=(found,)))
    studied.tell(ev.Finished(at=studied.story.tick(), winner=good, reason="as good as it gets"))
    traces = {trace.name: trace for trace in Telling(studied.folder).changed()}
    assert traces.keys() == {"plan", "job base", f"trial {good}", f"trial {bad}", "end"}
    names = [span.name for span in traces[f"trial {good}"].spans[1:]]
    assert names == ["proposer", "approval", "trainer", "evaluator", "explanation", "reflection"]
    trainer = traces[f"trial {good}"].spans[3]
    assert trainer.outputs["score"] == 0.8 and trainer.end - trainer.start > 10
    assert traces[f"trial {bad}"].root.error.startswith("memory: 7.9") and traces[f"trial {bad}"].jobs == (bad,)
    assert "planner: plan" in [span.name for span in traces["plan"].spans]
    assert len(traces[f"trial {good}"].model_dump_json()) < 5000


def test_a_score_that_is_no_number_is_told_as_a_word(studied: Studied) -> None:
    found = steps([one.model_copy() for one in studied.story.events])
    assert [trace.name for trace in found] == ["plan", "job base"]
    (job,) = studied.story.propose([planned(studied.story)])
    studied.story.launch(job)
    studied.story.complete(job, float("nan"))
    (one,) = [trace for trace in steps(studied.story.events) if trace.jobs == (job,)]
    assert one.root.outputs["score"] == "nan" and one.content_digest


def scribe(studied: Studied, store: MemoryTraces, warned: list[str]) -> Scribe:
    prompts = {f"{name}@{versions()[name]}": text for name, text in templates().items()}
    return Scribe(studied.folder, lambda: studied.story.study, TraceLog(store, prompts), warned.append, every_s=3600)


def test_every_session_adds_what_is_missing(studied: Studied) -> None:
    store, warned = MemoryTraces(MemoryStore()), list[str]()
    first = scribe(studied, store, warned)
    first.write()
    assert not store.traces, "there is no run yet to link them to"
    run_id = store._store.create("route-01", {}, None)
    studied.tell(ev.Tracked(at=studied.story.tick(), job="study", run_id=run_id))
    first.write()
    assert {one.trace.name for one in store.traces.values()} == {"plan", "job base"} and not store.prompts
    job = studied.run()
    studied.ask(ASKED, GOOD, prompt=question(job))
    second = scribe(studied, store, warned)
    second.begin()
    second.close()
    assert {one.trace.name for one in store.traces.values()} == {"plan", "job base", f"trial {job}", "evaluator"}
    assert len(store.prompts) == len(templates())
    before = dict(store.traces)
    scribe(studied, store, warned).finish()
    assert store.traces == before and not warned


def test_a_store_that_is_away_is_told_of_once_and_catches_up(studied: Studied) -> None:
    class Away(MemoryTraces):
        away = True

        def trace_digests(self, run_id: str) -> dict[str, str]:
            if self.away:
                raise TrackingError("the store does not answer")
            return super().trace_digests(run_id)

    store, warned = Away(MemoryStore()), list[str]()
    studied.tell(ev.Tracked(at=studied.story.tick(), job="study", run_id=store._store.create("route-01", {}, None)))
    first = scribe(studied, store, warned)
    first.finish()
    first.begin()
    first.close()
    assert len(warned) == 1 and "does not answer" in warned[0] and not store.traces
    store.away = False
    again = scribe(studied, store, warned)
    again.begin()
    again.close()
    assert len(store.traces) == 2 and len(warned) == 1
