"""What every store of traces must do. Subclass ``TraceSuite`` and give ``make``: stores over one and the same place."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.stories import Story, space, task

from tunewright.domain import event as ev
from tunewright.domain.study import Study
from tunewright.domain.trace import Span, Trace, Usage
from tunewright.tracking.traces import TraceLog, TraceStore, trace_id

Make = Callable[[], TraceStore]
PROMPTS = {"explain@aaaa": "Explain {{ trial }}.", "judge@bbbb": "Judge{% for one in trials %} {{ one }}{% endfor %}."}
STARTED = itertools.count(1_600_000_000.0, 1000.0)
"""One server sees the studies of many tests."""


@dataclass(frozen=True)
class Seen:
    """A trace as a store has it."""

    name: str
    tags: dict[str, str]
    spans: tuple[tuple[str, str, bool], ...]
    """Name, kind and whether it failed, by start."""
    tokens: int
    failed: bool


def trace(*, jobs: tuple[str, ...] = ("t1",), rounds: int = 1, error: str = "") -> Trace:
    """An agent that has called a tool and then answered, ``rounds`` times."""
    root = Span(
        id="root", name="evaluator", kind="AGENT", start=100.0, end=110.0, inputs={"question": "why?"}, error=error
    )
    spans = [root]
    for number in range(rounds):
        at, usage = 101.0 + number, Usage(tokens=30, answered=10, usd=0.002)
        asked = {"messages": [{"role": "user", "content": f"why? {number}"}]}
        spans += [
            Span(
                id=f"{number}", parent="root", name="openai/stub", kind="CHAT_MODEL", start=at, end=at + 0.5,
                inputs=asked, usage=usage, model="openai/stub",
            ),
            Span(id=f"{number}.0", parent="root", name="history", kind="TOOL", start=at + 0.5, end=at + 0.6),
        ]  # fmt: skip
    return Trace(id="piece 1", name="evaluator", spans=tuple(spans), jobs=jobs, role="evaluator", prompt="explain@aaaa")


class TraceSuite:
    """The contract of ``TraceStore``, as ``TraceLog`` uses it."""

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError

    def run(self, store: TraceStore, name: str) -> str:
        """A new run."""
        raise NotImplementedError

    def seen(self, store: TraceStore, run_id: str) -> dict[str, Seen]:
        """Id -> trace, of all that are linked to a run."""
        raise NotImplementedError

    def tags(self, store: TraceStore, run_id: str) -> dict[str, str]:
        """Of a run."""
        raise NotImplementedError

    @pytest.fixture
    def study(self, make: Make) -> Study:
        store, story = make(), Story(space=space(), task=task(), started=next(STARTED))
        for job in ("study", "t1"):
            story.tell(ev.Tracked(at=story.tick(), job=job, run_id=self.run(store, job)))
        return story.study

    def test_a_trace_is_kept_with_its_tree_and_found_by_both_runs(self, make: Make, study: Study) -> None:
        store = make()
        TraceLog(store, PROMPTS).log(study, [trace()])
        found = self.seen(store, study.runs["study"])
        assert found.keys() == {trace_id(study, "piece 1")} == self.seen(store, study.runs["t1"]).keys()
        (one,) = found.values()
        assert one.name == "evaluator" and not one.failed and one.tokens == 30
        assert one.spans == (
            ("evaluator", "AGENT", False), ("openai/stub", "CHAT_MODEL", False), ("history", "TOOL", False)
        )  # fmt: skip
        told = {name.removeprefix("tunewright."): value for name, value in one.tags.items()}
        assert told["study"] == study.name and told["trial"] == "t1" and told["role"] == "evaluator"
        assert told["prompt"] == "explain@aaaa" and told["prompt.version"].startswith("tunewright-explain/")

    def test_saying_it_again_changes_nothing_and_more_is_added(self, make: Make, study: Study) -> None:
        first = make()
        TraceLog(first, PROMPTS).log(study, [trace()])
        before = self.seen(first, study.runs["study"])
        second = make()
        TraceLog(second, PROMPTS).log(study, [trace()])
        assert self.seen(second, study.runs["study"]) == before
        longer = TraceLog(make(), PROMPTS)
        longer.log(study, [trace(rounds=2)])
        longer.log(study, [trace(rounds=2)])
        ((id, one),) = self.seen(second, study.runs["study"]).items()
        assert id in before and len(one.spans) == 5 and one.tokens == 60
        assert one.tags["tunewright.digest"] != before[id].tags["tunewright.digest"]

    def test_what_failed_is_said_to_have(self, make: Make, study: Study) -> None:
        store = make()
        TraceLog(store, PROMPTS).log(study, [trace(error="no answer was of use")])
        (one,) = self.seen(store, study.runs["study"]).values()
        assert one.failed and one.spans[0][2]

    def test_a_prompt_is_registered_once_for_each_text(self, make: Make, study: Study) -> None:
        TraceLog(make(), PROMPTS).log(study, [trace()])
        known = make().prompt_versions()
        assert known["explain@aaaa"].name == "tunewright-explain" and known["judge@bbbb"].name == "tunewright-judge"
        TraceLog(make(), PROMPTS).log(study, [trace()])
        assert make().prompt_versions() == known
        TraceLog(make(), PROMPTS | {"explain@cccc": "Explain {{ trial }} well."}).log(study, [trace()])
        added = make().prompt_versions()
        assert added["explain@cccc"].number == known["explain@aaaa"].number + 1
        said = self.tags(make(), study.runs["study"])
        assert said["tunewright.prompt.explain"] == f"{known['explain@aaaa'].number} (explain@aaaa)"

    def test_a_study_that_asks_no_model_registers_no_prompt(self, make: Make, study: Study) -> None:
        store = make()
        bare = trace().model_copy(update={"prompt": "", "role": ""})
        before = store.prompt_versions()
        TraceLog(store, PROMPTS | {"never@dddd": "Never."}).log(study, [bare])
        assert store.prompt_versions() == before and len(self.seen(store, study.runs["study"])) == 1

    def test_the_same_work_of_another_study_is_another_trace(self, make: Make, study: Study) -> None:
        store, other = make(), Story(space=space(), task=task(), started=next(STARTED))
        other.tell(ev.Tracked(at=other.tick(), job="study", run_id=self.run(store, "other")))
        TraceLog(store, PROMPTS).log(study, [trace()])
        TraceLog(store, PROMPTS).log(other.study, [trace()])
        assert not self.seen(store, study.runs["study"]).keys() & self.seen(store, other.study.runs["study"]).keys()
