"""Runs nothing: plays jobs from a script or a recording, through the same files and the same contract.

What studies are tested with in a fraction of a second, and the no-op trainer of the benchmarks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import Field

from tunewright.domain.errors import SandboxError
from tunewright.domain.frozen import Frozen
from tunewright.domain.job import Job
from tunewright.domain.protocols import Exit
from tunewright.domain.trial_event import TrialEvent
from tunewright.sandbox.performance import Performance, Play, play_recording
from tunewright.sandbox.script import FaultRule, parse_faults
from tunewright.sandbox.staging import begin
from tunewright.sandbox.tail import Tail

NAP_S = 0.01


class ReplayConfig(Frozen):
    """Options of the replay."""

    seconds: float = Field(0.0, ge=0)
    """How long each job pretends to take."""
    rows: int = Field(200, gt=0)
    """Items to make up where a job has no data file."""
    fault: str = ""
    """Rules such as ``lr>0.01:config, adapter.kind=full:memory``: which jobs fail, and how. An infra fault strikes
    a job's first attempt alone."""
    until: Path | None = None
    """A folder: no job ends before a file of its name is in it, unless it is asked to stop."""
    recording: Path | None = None
    """A recorded ``out/``, or a folder of ``<job id>/out``, to play instead of the script."""


class ReplaySandbox:
    """A ``Sandbox`` that plays.

    Args:
        config: options.
        preload: taken for the sake of one signature; nothing is run.
    """

    name = "replay"

    def __init__(self, config: ReplayConfig | None = None, preload: Sequence[str] = ()) -> None:
        self._config = config or ReplayConfig()
        self._faults: tuple[FaultRule, ...] = parse_faults(self._config.fault) if self._config.fault else ()
        self._handles: list[ReplayHandle] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.kill()
        self._handles.clear()

    def prepare(self, threads: int) -> None:
        """Nothing: nothing is run."""

    def start(self, job: Job) -> ReplayHandle:
        tail = begin(job)
        until = self._config.until / job.spec.id if self._config.until is not None else None
        handle = ReplayHandle(tail, self._config.seconds, until)
        handle.follow(self._play(job, handle))
        self._handles = [*(other for other in self._handles if not other.ended), handle]
        return handle

    def recover(self, job: Job) -> Exit | None:
        """A play ends with the process that plays it, and nobody is left to tell how."""
        return None

    def facts(self) -> Mapping[str, str]:
        return {
            "isolation": "nothing is run: a script plays the jobs",
            "network": "none: nothing is run",
            "start": "at once",
        }

    def _play(self, job: Job, handle: ReplayHandle) -> Play:
        recording = self._config.recording
        if recording is None:
            return Performance(job, self._config.rows, self._faults, lambda: handle.asked).play()
        place = next((p for p in (recording / job.spec.id / "out", recording) if (p / "events.jsonl").exists()), None)
        if place is None:
            raise SandboxError(f"no recording of job '{job.spec.id}' in '{recording}'", "record an out/ folder there")
        return play_recording(job, place, lambda: handle.asked)


class ReplayHandle:
    """A job that is played while it is listened to or waited for. Implements the ``Handle`` contract.

    Args:
        tail: of the job's events.
        seconds: what the whole play takes.
        until: a file that it does not end before.
    """

    def __init__(self, tail: Tail, seconds: float, until: Path | None = None) -> None:
        self.asked = False
        self._tail = tail
        self._seconds, self._until = seconds, until
        self._begun = time.monotonic()
        self._due = 0.0
        self._play: Play
        self._exit: Exit | None = None

    @property
    def ended(self) -> bool:
        return self._exit is not None

    def follow(self, play: Play) -> None:
        """What is played."""
        self._play = play

    def events(self, timeout_s: float | None = None) -> Iterator[TrialEvent]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            ended = self.ended
            yield from self._tail.read(final=ended)
            if ended or (deadline is not None and time.monotonic() >= deadline):
                return
            self._advance()

    def ask_to_stop(self) -> None:
        self.asked = True

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.ended:
            self._advance()
            if deadline is not None and time.monotonic() >= deadline:
                break
        return self._exit

    def kill(self) -> None:
        if not self.ended:
            self._play.close()
            self._exit = Exit(code=None, signal=9, message="killed by the host")

    def _advance(self) -> None:
        """Plays one step, if its time has come."""
        late = time.monotonic() - self._begun - self._due * self._seconds
        if late < 0 and not self.asked:
            time.sleep(min(NAP_S, -late))
            return
        if self._due >= 1.0 and self._until is not None and not (self.asked or self._until.exists()):
            time.sleep(NAP_S)
            return
        try:
            self._due = next(self._play)
        except StopIteration as end:
            killed = end.value is None
            self._exit = Exit(code=end.value, signal=9 if killed else None)
