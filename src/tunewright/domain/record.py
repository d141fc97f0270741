"""One job as the journal tells it, over all its attempts."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunewright.domain.budget import Cost
from tunewright.domain.job_event import JobPromoted, JobSteered, Role
from tunewright.domain.outcome import Completed, Measurement, Outcome, PartialScore, Paused, Pruned


@dataclass
class JobRecord:
    """One job over all its attempts."""

    id: str
    role: Role
    binding: str
    launched_at: float
    launched_clock: float = 0.0
    """Seconds the study had been at work when it was launched."""
    attempts: int = 1
    reserved: Cost = field(default_factory=Cost)
    """Held while the job runs; nothing once it has ended."""
    settled: Cost = field(default_factory=Cost)
    """Paid by attempts that have ended."""
    outcome: Outcome | None = None
    """Of the last attempt; None while it runs, or where a crash left it open."""
    measurements: list[Measurement] = field(default_factory=list)
    steered: list[JobSteered] = field(default_factory=list)
    ended_at: float | None = None
    promoted: bool = False
    """Waited at a rung and was promoted; not launched again yet."""
    proposal: str | None = None
    """The trial whose recipe it trains; its own, or of a confirmation a finalist's."""
    promotions: list[JobPromoted] = field(default_factory=list)
    earlier: int = 0
    """Attempts before its last promotion."""
    group_excess: float | None = None
    """By how much it passes limits on losses of groups; see ``ev.Judged``. None before it is judged."""
    verdicts_then: int = 0
    """Verdicts of the study that there were when it ended: what its outcome may be held against."""
    faults: int = 0
    """Of the machine, for which it was tried again; since its last promotion."""

    def measured(self, measurement: Measurement) -> None:
        """Takes a rung in; a rung measured again after a crash replaces the first."""
        self.measurements = [m for m in self.measurements if m.step != measurement.step] + [measurement]

    @property
    def last(self) -> Measurement | None:
        """The newest rung that it has measured."""
        return self.measurements[-1] if self.measurements else None

    @property
    def closing(self) -> bool:
        """Was promoted when nothing new could be begun any more."""
        return bool(self.promotions) and self.promotions[-1].closing

    @property
    def open(self) -> bool:
        """Launched, and no end on record."""
        return self.outcome is None

    @property
    def waiting(self) -> bool:
        """It stands at a rung, its checkpoint kept, until the scheduler promotes it or the search ends."""
        return isinstance(self.outcome, Paused) and self.outcome.waits == "promotion" and not self.promoted

    @property
    def rest(self) -> str:
        """Where it stands while it waits, and why, such as ``waits at step 40 of 360: 0.61; the best 2 go on``; else
        nothing. Where the reason begins with the score and the step, they are not said twice."""
        last = self.last
        if not self.waiting or last is None or not isinstance(self.outcome, Paused):
            return ""
        result, score = self.outcome.result, f"{last.value:.3g}"
        of = f" of {result.total_steps}" if result is not None and result.total_steps else ""
        said = f"{score} at step {last.step}"
        if self.outcome.reason.startswith(said):
            return f"waits at step {last.step}{of}: {score}{self.outcome.reason.removeprefix(said)}"
        return f"waits at step {last.step}{of} ({score}): {self.outcome.reason}"

    @property
    def resumable(self) -> bool:
        """It stopped before its end, or may be tried again, and is not the recipe's fault."""
        return isinstance(self.outcome, Paused) and not self.waiting

    @property
    def ended(self) -> bool:
        return not self.open and not isinstance(self.outcome, Paused)

    @property
    def score(self) -> float | None:
        """The final measurement of a completed job."""
        return self.outcome.score if isinstance(self.outcome, Completed) else None

    @property
    def partial(self) -> PartialScore | None:
        """Of a trial that was stopped while its end was scored."""
        return self.outcome.partial if isinstance(self.outcome, Pruned) else None

    @property
    def estimate(self) -> float | None:
        """What its end is believed to score on all rows: its score, or for want of one what some rows say of them.

        For whoever learns from trials. What may win, or be claimed, goes by ``score``.
        """
        return self.partial.estimate if self.partial is not None else self.score
