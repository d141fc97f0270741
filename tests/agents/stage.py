"""A sandbox on a virtual clock: its jobs take their time from it, write what a job writes, and fail on demand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pytest

from tunewright.agents import alarm
from tunewright.domain import outcome as outcomes
from tunewright.domain.errors import SandboxError
from tunewright.domain.job import Job
from tunewright.domain.outcome import Item, JobResult, Measurement
from tunewright.domain.paired import looks
from tunewright.domain.protocols import Exit
from tunewright.domain.trial_event import Measured, Scored, Started, TrialEvent
from tunewright.sandbox.staging import begin

SECONDS = 10.0
"""What a trial takes, of which each step is one."""
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
    items: tuple[float, ...] = ()
    """Scores of its rows at its end, which is then measured on them: each part takes as long as a step."""


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
        if self._step >= SECONDS + max(0, len(looks(len(self._role.items))) - 1):
            self._finish()
        elif self._step >= SECONDS and self._role.items:
            yield self._scored(int(self._step - SECONDS))

    def _scored(self, part: int) -> Scored:
        ends = (0, *looks(len(self._role.items)))
        first, end = ends[part], ends[part + 1]
        scores = self._role.items[first:end]
        return Scored(step=int(SECONDS), first=first, of=len(self._role.items), scores=scores, seconds=part)

    def _finish(self) -> None:
        measured = self._measured()
        items = self._role.items or (self._role.score,) * measured.rows
        if self._role.items:
            update = {"value": sum(items) / len(items), "rows": len(items), "step": int(SECONDS)}
            measured = measured.model_copy(update=update)
        lines = [
            Item(id=str(number), score=score, prediction="", target="").model_dump_json()
            for number, score in enumerate(items)
        ]
        (self._job.out / "items.jsonl").write_text("\n".join(lines) + "\n")
        self._touch(self._job.out / "items.jsonl")
        self._end(JobResult(status="done", measurement=measured, steps=int(SECONDS)), 0)

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
        self._place.write_text(str(min(self._step, int(SECONDS) - 1)))  # an end is scored again from its start
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
