"""The risk manager: around a scheduler, so that no trial loses much and none that has won goes on for nothing.

Stop-loss and take-profit lie a style's multiple of sigma below and above the incumbent at the same rung (TradingGroup,
arXiv 2508.17565: m_sl(style) and m_tp(style) times sigma_10; the multiples are unpublished, so they are ours). Whatever
the scheduler around which it stands stops or pauses, stays stopped or paused.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from tunewright.agents.risk.style import style_of
from tunewright.domain.event import Style
from tunewright.domain.outcome import Measurement
from tunewright.domain.paired import Paired
from tunewright.domain.protocols import Promotion, Scheduler, Steering
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.search.pruning import foregone, least_peers

STOP_LOSS: Mapping[Style, float] = {"explore": 3.0, "balanced": 2.0, "exploit": 1.0}
"""Sigmas below the incumbent."""
TAKE_PROFIT: Mapping[Style, float] = {"explore": 1.0, "balanced": 2.0, "exploit": 3.0}
"""Sigmas above: who explores has seen enough sooner."""
NEWEST = 10
"""Trials that sigma is taken of."""


@dataclass(frozen=True)
class Lines:
    """What bounds a trial at one rung, in the metric's good direction."""

    incumbent: float
    """Its score there."""
    sigma: float
    noise: float
    """Standard deviation of a score there, by the rows it is measured on."""
    style: Style

    @property
    def loss(self) -> float:
        return self.incumbent - STOP_LOSS[self.style] * self.sigma

    @property
    def profit(self) -> float:
        return self.incumbent + TAKE_PROFIT[self.style] * self.sigma


class RiskManager:
    """A ``Scheduler`` around another.

    Args:
        inner: is asked first, and alone says what is promoted.
    """

    def __init__(self, inner: Scheduler) -> None:
        self._inner = inner
        self.pauses = inner.pauses

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """See ``Scheduler.decide``: what the inner one lets go on may be stopped, or be made to wait."""
        told = self._inner.decide(study, job, measurement)
        if told.action != "continue" or foregone(study, job, measurement) is not None:
            return told
        lines = lines_at(study, job, measurement)
        if lines is None or study.task is None:
            return told
        sign, where = study.task.metric.sign, f"{measurement.value:.3g} at step {measurement.step}"
        said = f"{study.incumbent} there {sign * lines.incumbent:.3g}, sigma {lines.sigma:.3g}, {lines.style}"
        if sign * measurement.value < lines.loss:
            side = "below" if sign > 0 else "above"
            return Steering(action="stop", reason=f"{where} is {side} the stop-loss {sign * lines.loss:.3g} ({said})")
        record = study.jobs[job]
        if (
            self.pauses
            and not record.promotions
            and sign * measurement.value > lines.profit
            and not _rises(record, measurement, sign, lines.noise)
        ):
            past = f"{where} is past {sign * lines.profit:.3g} and no longer better than the rung before ({said})"
            return Steering(action="pause", reason=past)
        return told

    def compare(self, study: Study, job: str, paired: Paired) -> Steering:
        """See ``Scheduler.compare``: the inner one's answer."""
        return self._inner.compare(study, job, paired)

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``: the inner one's answer."""
        return self._inner.promote(study, closing=closing)


def lines_at(study: Study, job: str, measurement: Measurement) -> Lines | None:
    """What bounds ``job`` where it was just measured; None while there is no incumbent that was measured there on the
    same rows, or too few others were.
    """
    best = study.jobs.get(study.incumbent or "")
    if study.task is None or best is None or best.role != "trial" or best.id == job:
        return None
    sign, its = study.task.metric.sign, _there(best, measurement)
    others = [value for one in study.trials if one.id != job and (value := _there(one, measurement)) is not None]
    if its is None or len(others) < max(2, least_peers(study)):
        return None
    noise = noise_of(measurement)
    sigma = max(statistics.stdev(others[-NEWEST:]), noise)
    return Lines(sign * its, sigma, noise, style_of(study))


def noise_of(measurement: Measurement) -> float:
    """Standard deviation of a score by the rows that it was measured on: by its interval, or else as of so many rights
    and wrongs; 0 for what is no share.
    """
    known, value = measurement.deviation, measurement.value
    if known is not None and math.isfinite(known):
        return max(0.0, known)
    return math.sqrt(max(value * (1 - value), 0.01) / measurement.rows) if 0 <= value <= 1 else 0.0


def _there(job: JobRecord, measurement: Measurement) -> float | None:
    """The score of another trial at the same rung, on as many rows."""
    found = [
        one.value
        for one in job.measurements
        if one.rows == measurement.rows
        and math.isfinite(one.value)
        and (one.rung == measurement.rung if measurement.rung is not None else one.step == measurement.step)
    ]
    return found[-1] if found else None


def _rises(job: JobRecord, measurement: Measurement, sign: float, noise: float) -> bool:
    """Whether it is better than at the rung before by more than noise; also where there was none."""
    before = [one for one in job.measurements if one.step < measurement.step and one.rows == measurement.rows]
    if not before:
        return True
    return sign * (measurement.value - before[-1].value) > math.sqrt(2) * noise
