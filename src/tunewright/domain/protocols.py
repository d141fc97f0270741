"""The interfaces between the departments. Each is small, with its contract in words; each has a conformance
suite in ``tests/conformance`` and a real in-memory or scripted implementation that ships.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, Field

from tunewright.domain.frozen import Frozen
from tunewright.domain.job import Job
from tunewright.domain.outcome import Item, Measurement
from tunewright.domain.paired import Paired
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study
from tunewright.domain.tool import Tool
from tunewright.domain.trial_event import TrialEvent

T = TypeVar("T", bound=BaseModel)


class Exit(Frozen):
    """How a job's process ended, as the sandbox saw it from outside."""

    code: int | None
    """Exit code; None if it was killed by a signal."""
    signal: int | None = None
    out_of_memory: bool = False
    """The kernel, the engine or the watchdog killed it for memory."""
    message: str = ""
    """The last lines of its log where they help, at most 2,000 characters."""


class Handle(Protocol):
    """A job that was started. Used by one thread, but for ``ask_to_stop``."""

    def events(self, timeout_s: float | None = None) -> Iterator[TrialEvent]:
        """Yields the job's events as they are written, each once, until it has ended and all are read, or
        until ``timeout_s`` is over (call again to go on). Lines that are no event become ``Noted``."""

    def ask_to_stop(self) -> None:
        """Asks the job to write a checkpoint and end (SIGTERM). Returns at once; may be called twice, after the end,
        and from another thread than the rest: a deadline does not wait for who is busy."""

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """How it ended, or None if it has not within ``timeout_s``. May be called again after the end."""

    def kill(self) -> None:
        """Ends the job and all its processes. Returns when they are gone; a job that has ended is left as it is."""


class Sandbox(Protocol):
    """Where a trial runs. A context manager: leaving it ends every job and frees what it holds."""

    name: str

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def prepare(self, threads: int) -> None:
        """Called ahead of the first job, with the threads it will have: warms up what can be. Returns at once."""

    def start(self, job: Job) -> Handle:
        """Starts ``job.module`` on ``job.folder``. The folder's spec and inputs are read-only to it.

        Raises:
            SandboxError: the sandbox could not start it; the job has not run and nothing is left behind.
        """

    def recover(self, job: Job) -> Exit | None:
        """Called once at start for a job that an earlier process left running: makes sure that it runs no
        more, and says how it ended where that can still be told."""

    def facts(self) -> Mapping[str, str]:
        """What it isolates and what it does not, and ``image`` (digest) if it has one; for people and for the spec."""


class Strategy(Protocol):
    """What to try next. Learns from the study alone, so it can be rebuilt at any time."""

    def ask(self, study: Study, count: int) -> list[Idea]:
        """At most ``count`` new ideas inside ``study.plan.space``; fewer, or none, if it has no more.

        Asking twice with the same study gives the same ideas.
        """


class Steering(Frozen):
    """A scheduler's answer."""

    action: Literal["continue", "pause", "stop"]
    reason: str


class Promotion(Frozen):
    """A scheduler lets a trial that waits at a rung go on."""

    job: str
    reason: str = Field(min_length=1)


class Scheduler(Protocol):
    """Whether a trial goes on after a rung or while its end is scored, and which of those that wait goes on later.

    Learns from the study alone, so it can be rebuilt at any time.
    """

    pauses: bool
    """Whether it ever answers ``pause``."""

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """``measurement`` is the newest of ``job``. The reason may not be empty.

        ``pause`` keeps the checkpoint: the trial waits until ``promote`` names it or the search ends.
        """

    def compare(self, study: Study, job: str, paired: Paired) -> Steering:
        """Whether the end of ``job`` is scored on more rows: ``stop`` if it cannot win any more, else ``continue``."""

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """Which of ``study.waiting`` goes on before anything new is begun; None if none should.

        Args:
            closing: nothing new will be begun, so what is left of the budget is for those that wait.
        """


class Scorer(Protocol):
    """Per-item scores from model outputs: 1 is right and 0 is wrong where that is meant."""

    name: str
    direction: Literal["max", "min"]
    needs: Literal["labels", "generation", "loss", "preference"]
    """``labels``: the most likely label; ``generation``: greedy text; ``loss``: mean token loss of the target;
    ``preference``: how much better the better answer is, by a reward model's head or by likelihood a token."""

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        """The score of one item. ``row`` is a row of the frozen split. Must not raise on any prediction."""

    def aggregate(self, items: Sequence[Item]) -> float:
        """The metric over items; the mean unless the metric is none."""


class Tracker(Protocol):
    """What happened, for others to read. A view of the journal: it can be rebuilt, and may be called again
    with the same facts without doubling them. Every method raises ``TrackingError`` if the store does not answer."""

    def start_study(self, study: Study, folder: Path) -> str:
        """The parent run's id; finds the run again if there is one. ``folder`` is the study's."""

    def start_job(self, study: Study, job: str, folder: Path) -> str:
        """The job's run under the parent; finds it again if there is one. ``folder`` is the job's."""

    def log_events(self, study: Study, job: str, events: Sequence[TrialEvent]) -> None:
        """Adds curves, in one batch."""

    def finish_job(self, study: Study, job: str, folder: Path) -> None:
        """Logs outcome, spec, items, adapter, decision, verdict; ends the run."""

    def finish_study(self, study: Study, files: Sequence[Path]) -> None:
        """Logs the summary and ``files``, registers the winner, ends the parent run."""


class Brain(Protocol):
    """A language model, or a stand-in, that answers in a given form."""

    name: str

    def structured(self, role: str, prompt: str, schema: type[T]) -> T:
        """An answer that fits ``schema``. Reports each call's cost to the callback it was built with.

        Raises:
            BrainError: no valid answer within the tries allowed. Of its kinds, ``AnswerError`` says that it answered
                and none of it fits, ``ServerError`` that it cannot be reached.
            BudgetError: the budget does not cover the call.
        """

    def converse(self, role: str, prompt: str, schema: type[T], tools: Sequence[Tool], *, rounds: int = 6) -> T:
        """An answer that fits ``schema``, after the model has called ``tools`` in at most ``rounds`` rounds.

        What a tool returns reaches the model quoted and cut to a bound. A model that cannot call functions, or does not
        want to, is asked for the answer at once. Raises what ``structured`` raises; a tool's failure is told to the
        model and raises nothing.
        """
