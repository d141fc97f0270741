"""A team without LangGraph, on a clock of its own: jobs are played in virtual seconds, everything else is real.

``with clock():`` puts the virtual clock in the place of the machine's. A ``Stage`` is a sandbox whose jobs take their
time from it; a ``Team`` drives the real nodes by the real routing over a journal in memory that checks each event.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pytest
from tests.stories import CODE, FORECAST, Story, planned

from tunewright.agents import alarm
from tunewright.agents.launcher import Launcher
from tunewright.agents.nodes.approval import approve_by_policy, batch_needs_person
from tunewright.agents.nodes.proposer import make_proposer
from tunewright.agents.nodes.trainer import make_trainer
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.routing import next_step, unjudged, unreflected
from tunewright.agents.specification import Specifier
from tunewright.domain import event as ev
from tunewright.domain import outcome as outcomes
from tunewright.domain.budget import Cost
from tunewright.domain.errors import SandboxError
from tunewright.domain.job import Job
from tunewright.domain.outcome import JobResult, Measurement, Verdict
from tunewright.domain.proposal import Forecast, Idea, Range
from tunewright.domain.protocols import Exit, Scheduler
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.domain.trial_event import Measured, Started, TrialEvent
from tunewright.sandbox.staging import begin
from tunewright.tracking.memory import MemoryTracker

SECONDS = 10.0
"""What a trial takes, of which each step is one."""
ROUND_S = 0.2
"""Virtual seconds that a node takes."""
LAG_S = 0.3
"""Between being asked to stop and the end."""
RUNGS = (3, 6)


Fault = Literal["", "infra", "config", "sandbox"]


class Clock:
    def __init__(self) -> None:
        self.now = time.time() + 1e6  # later than any file that is written

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class _NoTimer:
    """Deadlines are kept by looking: a timer would ring by the machine's clock."""

    daemon = True

    def __init__(self, seconds: float, ring: Callable[[], object]) -> None: ...
    def start(self) -> None: ...
    def cancel(self) -> None: ...


@contextmanager
def virtual_clock() -> Iterator[Clock]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", clock)
        patch.setattr(alarm.threading, "Timer", _NoTimer)
        yield clock


@dataclass
class Role:
    """How a job is played at each attempt."""

    fault: Fault = ""
    """Strikes at ``at_step``: infra and sandbox faults in the first attempt alone."""
    at_step: int = 4
    slowness: float = 1.0
    score: float = 0.5


class Playing:
    """A job on the stage. Implements the ``Handle`` contract."""

    def __init__(self, job: Job, role: Role, clock: Clock) -> None:
        self._job, self._role, self._clock = job, role, clock
        self._place = job.out / "checkpoint" / "step"
        self._step = int(self._place.read_text()) if self._place.exists() else 0
        self.resumed_from = self._step
        self._due = clock.now + role.slowness
        self._asked_at: float | None = None
        self._exit: Exit | None = None
        self._first: list[TrialEvent] = [Started(device="played", threads=1, resumed_from=self._step)]

    def events(self, timeout_s: float | None = None) -> Iterator[TrialEvent]:
        yield from self._first
        self._first = []
        if self._exit is None:
            self._clock.advance(timeout_s or 0.0)
        while self._exit is None:
            if self._asked_at is not None and self._clock.now >= self._asked_at + LAG_S:
                self._pause()
            elif self._clock.now >= self._due:
                yield from self._take_a_step()
            else:
                return

    def ask_to_stop(self) -> None:
        self._asked_at = self._clock.now if self._asked_at is None else self._asked_at

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        return self._exit

    def kill(self) -> None:
        self._exit = self._exit or Exit(code=None, signal=9)

    def _take_a_step(self) -> Iterator[TrialEvent]:
        if self._role.fault and self._step + 1 == self._role.at_step and self._strikes():
            return
        self._step += 1
        self._due += self._role.slowness
        if self._step in RUNGS:
            self._save()
            yield Measured(measurement=self._measured())
        if self._step >= SECONDS:
            self._end(JobResult(status="done", measurement=self._measured(), steps=self._step), 0)

    def _strikes(self) -> bool:
        struck = self._job.folder / ".struck"
        fault, again = self._role.fault, struck.exists()
        struck.touch()
        if fault == "config":
            self._end(JobResult(status="failed", fault=outcomes.Fault(kind="config", message="loss is NaN")), 20)
        elif again:
            return False
        elif fault == "sandbox":
            raise SandboxError("the engine does not answer")
        else:
            self._exit = Exit(code=None, signal=9)
        return True

    def _measured(self) -> Measurement:
        return Measurement(value=self._role.score, rows=10, step=self._step, seconds=0.1)

    def _save(self) -> None:
        self._place.parent.mkdir(exist_ok=True)
        self._place.write_text(str(self._step))
        self._touch(self._place)

    def _pause(self) -> None:
        self._save()
        self._end(JobResult(status="paused", steps=self._step), 10)

    def _end(self, result: JobResult, code: int) -> None:
        path = self._job.out / "result.json"
        path.write_text(result.model_dump_json())
        self._touch(path)
        self._exit = Exit(code=code)

    def _touch(self, path: Path) -> None:
        os.utime(path, (self._clock.now, self._clock.now))


class Stage:
    """A ``Sandbox`` of ``Playing`` jobs."""

    name = "stage"

    def __init__(self, clock: Clock, roles: Callable[[str], Role]) -> None:
        self._clock, self._roles = clock, roles
        self.played: list[tuple[str, int]] = []
        """Job and the step it began at, in the order of their starts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def prepare(self, threads: int) -> None: ...

    def start(self, job: Job) -> Playing:
        begin(job)
        playing = Playing(job, self._roles(job.spec.id), self._clock)
        self.played.append((job.spec.id, playing.resumed_from))
        return playing

    def recover(self, job: Job) -> Exit | None:
        return None

    def facts(self) -> Mapping[str, str]:
        return {}


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
    """A strategy that has an idea for every call."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def ask(self, study: Study, count: int) -> list[Idea]:
        return [planned(self._story) for _ in range(count)]


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
                    lambda _: Many(self.story),
                    lambda _: [],
                    lambda _: self.scheduler,
                    self.launcher.wait,
                )
            ),
            "trainer": self._node(
                make_trainer(self.notebook, self.launcher, specifier, self.folder, self.stop, lambda _: self.scheduler)
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


def spent_within(study: Study, keep: Cost) -> list[str]:
    """Caps that are passed once ``keep`` is spent too."""
    assert study.budget is not None
    return study.budget.shortfalls(study.spent(), keep)
