"""Asynchronous successive halving that pauses: what is not among the best at a rung waits there with its checkpoint.

A trial goes on past a rung if it is among the best 1/eta of all that have reached it (Li et al. 2020, A system for
massively parallel hyperparameter tuning, algorithm 2); else it waits, and goes on from its checkpoint once it is. What
a trial has cost is never paid twice, and a verdict from few trials is not final.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tunewright.domain.outcome import Measurement
from tunewright.domain.protocols import Promotion, Steering
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.search.curtailment import Curtailing
from tunewright.search.pruning import foregone, higher_is_better

ETA = 3
"""One of so many goes on at a rung."""


class HalvingScheduler(Curtailing):
    """Pauses at a rung what is not in the best third that has reached it; promotes it when it is.

    Args:
        eta: one of so many goes on.
    """

    pauses = True

    def __init__(self, eta: int = ETA) -> None:
        self._eta = eta

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """See ``Scheduler.decide``."""
        settled = foregone(study, job, measurement)
        if settled is not None:
            return settled
        rung = measurement.rung
        if rung is None:
            return Steering(action="continue", reason="this is none of the plan's rungs")
        scores = self._scores(study, rung, measurement.rows)
        scores[job] = measurement.value
        place, count = _place(study, scores, job), len(scores)
        best = count // self._eta
        said = f"{measurement.value:.3g} at step {measurement.step} is number {place} of {count} at this rung"
        if place <= best:
            return Steering(action="continue", reason=f"{said}; the best {best} go on")
        goes = f"the best {best} go on" if best else f"none goes on before {self._eta} have reached it"
        return Steering(action="pause", reason=f"{said}; {goes}")

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``: from the highest rung down, what waits and has come to be among the best."""
        waiting = {rung: jobs for rung, jobs in _by_rung(study.waiting).items() if rung is not None}
        for rung in sorted(waiting, reverse=True):
            scores = self._scores(study, rung, waiting[rung][-1].measurements[-1].rows)
            best = len(scores) // self._eta
            job = min(waiting[rung], key=lambda one: _place(study, scores, one.id))
            place = _place(study, scores, job.id)
            score = scores[job.id]
            if place <= best:
                reason = f"{score:.3g} is number {place} of {len(scores)} at this rung by now; the best {best} go on"
                return Promotion(job=job.id, reason=reason)
            if closing and _may_win(study, job, rung):
                reason = f"{score:.3g} is the best that waits at its rung, and there is time left for it"
                return Promotion(job=job.id, reason=reason)
        return None

    @staticmethod
    def _scores(study: Study, rung: int, rows: int) -> dict[str, float]:
        """Trial -> score of all that have reached the rung and were measured on as many rows."""
        return {
            job.id: m.value
            for job in study.trials
            for m in job.measurements
            if m.rung == rung and m.rows == rows and math.isfinite(m.value)
        }


def _by_rung(jobs: Iterable[JobRecord]) -> dict[int | None, list[JobRecord]]:
    found: dict[int | None, list[JobRecord]] = {}
    for job in jobs:
        if job.last is not None:
            found.setdefault(job.last.rung, []).append(job)
    return found


def _place(study: Study, scores: dict[str, float], job: str) -> int:
    """1 for the best; of equals the earlier is better."""
    sign = -1.0 if higher_is_better(study) else 1.0
    ranked = sorted(scores, key=lambda one: sign * scores[one])  # stable: trials are in the order of their launch
    return ranked.index(job) + 1


def _may_win(study: Study, job: JobRecord, rung: int) -> bool:
    """Whether the interval of its score reaches what the trial that is best at the end had at this rung."""
    best = study.best()
    if best is None:
        return True
    there = next((m for m in best.measurements if m.rung == rung), None)
    mine = job.measurements[-1]
    if there is None or mine.low is None or mine.high is None:
        return True
    return mine.high >= there.value if higher_is_better(study) else mine.low <= there.value
