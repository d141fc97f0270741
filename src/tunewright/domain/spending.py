"""What a study has spent and what it holds back, as its journal tells it."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.domain import event as ev
from tunewright.domain.budget import BY_TIME, Cost
from tunewright.domain.clock import WallClock
from tunewright.domain.model_calls import ModelCalls
from tunewright.domain.options import StudyOptions
from tunewright.domain.record import JobRecord


class Spending:
    """Kept by ``Study``, which says what seconds of a job cost and which jobs are running."""

    def __init__(self) -> None:
        self.clock, self.calls = WallClock(), ModelCalls()
        self._paid = Cost()

    def fold(self, one: ev.Event) -> None:
        """Takes one event in."""
        self.clock.tick(one)
        match one:
            case ev.JobEnded():
                self._paid += one.outcome.cost
            case ev.SessionOpened():
                self._paid += self.calls.lost()
            case ev.ModelAsking() | ev.ModelAsked():
                self._paid += self.calls.fold(one)
            case _:
                pass

    def spent(self, options: StudyOptions, running: Sequence[JobRecord], now: float) -> Cost:
        """Settled costs, with the wall clock up to ``now`` and what running jobs have taken of devices."""
        taken = [self._taken(options, job, now) for job in running]
        return self._paid.model_copy(
            update={
                "wall_s": self.clock.total(now),
                "device_s": self._paid.device_s + sum(cost.device_s for cost in taken),
                "usd": self._paid.usd + sum(cost.usd for cost in taken),
            }
        )

    def reserved(self, options: StudyOptions, running: Sequence[JobRecord], now: float) -> Cost:
        """Held for running jobs, less what ``spent`` counts of them by now, and for calls of language models. Their
        wall time is that of the longest: they run side by side.
        """
        rests = [self.held(options, job, now) for job in running]
        longest = max((rest.wall_s for rest in rests), default=0.0)
        return sum(rests, self.calls.held).model_copy(update={"wall_s": longest})

    def held(self, options: StudyOptions, job: JobRecord, now: float) -> Cost:
        """What is left of a running job's reservation; the trial is counted as spent from its launch on."""
        taken = self._taken(options, job, now)
        rest = {name: max(0.0, getattr(job.reserved, name) - getattr(taken, name)) for name in BY_TIME}
        return job.reserved.model_copy(update=rest | {"trials": 0})

    def _taken(self, options: StudyOptions, job: JobRecord, now: float) -> Cost:
        """What a running job has cost while the study was at work; the time a crash left it alone is not in it."""
        return options.device_cost(max(0.0, self.clock.total(now) - job.launched_clock))
