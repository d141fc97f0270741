"""A team without LangGraph, on a clock of its own: jobs are played in virtual seconds, everything else is real.

A ``Team`` drives the real nodes by the real routing over a journal in memory that checks each event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agents.stage import SECONDS, Clock, Stage
from tests.stories import CODE, FORECAST, Story, planned

from tunewright.agents.launcher import Launcher
from tunewright.agents.nodes.approval import approve_by_policy, batch_needs_person
from tunewright.agents.nodes.proposer import make_proposer
from tunewright.agents.nodes.trainer import make_trainer
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.routing import next_step, unjudged, unreflected
from tunewright.agents.specification import Specifier
from tunewright.domain import event as ev
from tunewright.domain.outcome import Verdict
from tunewright.domain.proposal import Forecast, Idea, Range
from tunewright.domain.protocols import Scheduler
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.tracking.memory import MemoryTracker

ROUND_S = 0.2
"""Virtual seconds that a node takes."""


class Killed(BaseException):
    """kill -9: nothing is written any more."""


class Journal:
    """A journal in memory, on the virtual clock. Each event is checked before the next."""

    def __init__(self, story: Story, clock: Clock, check: Callable[[Study, ev.Event], None]) -> None:
        self.story, self._clock, self.check = story, clock, check
        self.dies_at: int | None = None

    @property
    def study(self) -> Study:
        return self.story.study

    def append(self, event: ev.Event) -> None:
        if self.dies_at is not None and len(self.story.events) >= self.dies_at:
            raise Killed
        self.story.tell(event.model_copy(update={"at": self._clock.now}))
        self.check(self.study, event)


def price(study: Study, recipe: Recipe) -> Forecast:
    high = 1.3 * SECONDS
    return FORECAST.model_copy(
        update={"seconds": Range(expected=SECONDS, low=8, high=high), "cost": study.options.device_cost(high, trials=1)}
    )


class Many:
    """A strategy that has an idea for every call, and some ``first``."""

    def __init__(self, story: Story, first: Sequence[Idea] = ()) -> None:
        self._story, self._first = story, first

    def ask(self, study: Study, count: int) -> list[Idea]:
        found = self._first[len(study.proposals) :][:count]
        return [*found, *(planned(self._story) for _ in range(count - len(found)))]


@dataclass
class Team:
    """The nodes of a search over one story."""

    story: Story
    clock: Clock
    stage: Stage
    folder: Path
    scheduler: Scheduler
    check: Callable[[Study, ev.Event], None] = lambda study, event: None
    steps: list[str] = field(default_factory=list)
    """The nodes in the order of their turns."""
    asked: list[tuple[str, ...]] = field(default_factory=list)
    """Batches that a person was asked about."""
    first: list[Idea] = field(default_factory=list)
    """Ideas that go before the strategy's own."""
    spared: Callable[[], bool] = lambda: False
    """Waits for what else holds some of the budget."""

    def __post_init__(self) -> None:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        for split in ("train", "val"):
            (self.folder / "data" / f"{split}.jsonl").write_text("")
        self.journal = Journal(self.story, self.clock, self.check)
        self.tracker = MemoryTracker()
        self.open()

    def open(self) -> None:
        """A session: a new process, as far as this one can tell."""
        self.stop = Stop()
        self.journal.dies_at = None
        self.notebook = Notebook(self.journal, lambda _: None)
        self.notebook.record(ev.SessionOpened(pid=1, host="h"))
        specifier = Specifier(code=CODE, image=None, forecast=price, check=lambda _: None)
        self.launcher = Launcher(
            self.notebook, self.stage, self.tracker, self.folder, self.stop, model=self.folder / "model"
        )
        self.launcher.recover()
        self._nodes: dict[str, Callable[[], Any]] = {
            "proposer": self._node(
                make_proposer(
                    self.notebook,
                    specifier,
                    lambda _: Many(self.story, self.first),
                    lambda _: [],
                    lambda _: self.scheduler,
                    self.launcher.wait,
                    spared=self._spared,
                )
            ),
            "trainer": self._node(
                make_trainer(
                    self.notebook,
                    self.launcher,
                    specifier,
                    self.folder,
                    self.stop,
                    lambda _: self.scheduler,
                    self._spared,
                )
            ),
            "batch_approval": self._approve,
            "evaluator": self._judge,
            "reflection": lambda: self.notebook.record(ev.Reflected(trials=tuple(unreflected(self.study)))),
        }

    @property
    def study(self) -> Study:
        return self.journal.study

    def run(self, until: Callable[[Study], bool] = lambda study: False) -> str:
        """Goes on until the finish is due, it was stopped, or ``until``. The step that is due then."""
        for _ in range(10_000):
            step = next_step(self.study, stop=self.stop.requested)
            if step in ("finisher", "end") or until(self.study):
                return step
            self.steps.append(step)
            self._nodes[step]()
            self.clock.advance(ROUND_S)
        raise AssertionError(f"no end after {self.steps[-20:]}")

    def _spared(self) -> bool:
        return self.spared()

    @staticmethod
    def _node(node: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: node({"study": "s"})

    def _approve(self) -> None:
        due = tuple(one.id for one in self.study.undecided)
        if batch_needs_person(self.study):
            assert not self.study.running, "a person is asked while something runs"
            self.notebook.record(ev.ReviewAsked(targets=due))
            self.asked.append(due)
        for target in due:
            self.notebook.record(ev.Decided(decision=approve_by_policy(self.study, target)))

    def _judge(self) -> None:
        for trial in unjudged(self.study):
            verdict = Verdict(
                trial=trial, against="base", answer="undecided", gain=0, low=-1, high=1, rows=10, method="none"
            )
            self.notebook.record(ev.Judged(verdict=verdict, incumbent="base"))
