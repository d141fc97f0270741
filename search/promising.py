"""Pauses at a rung what is not expected to win at its end, and goes on with it when it is.

Where successive halving looks at ranks at one rung alone, this asks what the rung says of the end: by what trials
gained from there on, and by a model of all of them that knows how alike recipes are. A trial goes on while both leave
it a chance to beat the best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tunewright.domain.outcome import Measurement
from tunewright.domain.proposal import Plan
from tunewright.domain.protocols import Promotion, Steering
from tunewright.domain.study import Study
from tunewright.search.curtailment import Curtailing
from tunewright.search.evidence import Evidence, gather
from tunewright.search.history import Entry, History
from tunewright.search.model import Model
from tunewright.search.pruning import foregone, higher_is_better, least_peers
from tunewright.search.space_tree import SpaceTree
from tunewright.search.standing import Standing, Standings

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CHANCE = 0.1
"""Of beating the best at the end, below which a trial is paused."""
SURE = 0.3
"""From which one that waits goes on before anything new is begun."""
_SAME = 1e-9
"""Places that differ by less are one."""


class PromisingScheduler(Curtailing):
    """Pauses a trial whose chance to beat the best is below ``chance``.

    Args:
        chance: below which a trial is paused.
        sure: from which one that waits is promoted.
    """

    pauses = True

    def __init__(self, chance: float = CHANCE, sure: float = SURE) -> None:
        self._chance, self._sure = chance, sure
        self._view: _View | None = None

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """See ``Scheduler.decide``."""
        settled = foregone(study, job, measurement)
        if settled is not None:
            return settled
        where = f"{measurement.value:.3g} at step {measurement.step}"
        if measurement.rung is None:
            return Steering(action="continue", reason="this is none of the plan's rungs")
        others = [m for one in study.trials if one.id != job for m in one.measurements if m.rung == measurement.rung]
        if any(m.rows != measurement.rows for m in others):
            return Steering(action="continue", reason=f"{where}; others were measured on other rows")
        chance = self._chances(study, {job: measurement}).get(job)
        if chance is None:
            return Steering(action="continue", reason=f"{where}; too few trials are done to say anything of its end")
        said = f"{where}; it beats the best at its end with a chance of {100 * chance:.0f} %"
        if chance >= self._chance:
            return Steering(action="continue", reason=said)
        return Steering(action="pause", reason=f"{said}, less than {100 * self._chance:.0f} %")

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``."""
        if not study.waiting:
            return None
        chances = self._chances(study, {})
        best = max(study.waiting, key=lambda job: chances.get(job.id, 0.0))
        chance = chances.get(best.id, 0.0)
        if chance < (self._chance if closing else self._sure):
            return None
        reason = f"by now it beats the best at its end with a chance of {100 * chance:.0f} %"
        return Promotion(job=best.id, reason=reason)

    def _chances(self, study: Study, newest: dict[str, Measurement]) -> dict[str, float]:
        """Trial -> chance that its end beats the best end of a trial so far; nothing before enough trials are done.

        Args:
            newest: trial -> its measurement, which need not be in the journal yet.
        """
        assert study.plan is not None
        if sum(one.estimate is not None for one in study.trials) < least_peers(study):
            return {}
        if self._view is None or not self._view.fits(study.plan):
            self._view = _View(study.plan)
        return self._view.chances(study, newest)


class _View:
    """The study's trials as a model has them."""

    def __init__(self, plan: Plan) -> None:
        self._space, self._rungs = plan.space, plan.rungs
        self._history, self._standings = History(plan.space), Standings()
        self._tree = SpaceTree(plan.space, plan.rungs.epochs)
        self._trials: dict[str, tuple[Standing, FrozenTrial]] = {}

    def fits(self, plan: Plan) -> bool:
        return self._history.fits(plan.space) and self._rungs == plan.rungs

    def chances(self, study: Study, newest: dict[str, Measurement]) -> dict[str, float]:
        """See ``PromisingScheduler._chances``."""
        entries = [e for e in self._history.entries(study) if e.point is not None and e.id in study.jobs]
        trials = [self._trial(study, entry, number, newest) for number, entry in enumerate(entries)]
        found = gather(trials, maximise=higher_is_better(study), pace=self._tree.pace)
        model = Model(self._tree, found)
        known = [index for index, one in enumerate(found) if one.seen and not one.faulty]
        ended = [index for index in known if found[index].ended]
        if not model.fitted or not ended:
            return {}
        best = max(model.worths[index] for index in ended)
        mean, spread = model.scores(model.rows[known])
        by_kin = {index: _above(m - best, s) for index, m, s in zip(known, mean, spread, strict=True)}
        best_seen = max(found[index].seen[-1][1] for index in ended)
        chances = {}
        for index in known:
            curve = _Curve(found, found[index])
            # Where hardly anything was ever let on so far, a model does not know what is still gained.
            if curve.others >= least_peers(study):
                chances[entries[found[index].number].id] = min(by_kin[index], curve.chance(best_seen))
        return chances

    def _trial(self, study: Study, entry: Entry, number: int, newest: dict[str, Measurement]) -> FrozenTrial:
        now = self._standings.of(study, entry)
        if entry.id in newest:
            now = _with(now, newest[entry.id])
        known = self._trials.get(entry.id)
        if known is None or known[0] is not now:
            assert entry.point is not None, "only entries inside the space are asked about"
            known = self._trials[entry.id] = now, now.as_trial(entry.point, self._space, user_attrs=now.attributes)
        known[1].number = number
        return known[1]


def _with(now: Standing, measurement: Measurement) -> Standing:
    assert measurement.rung is not None
    return replace(now, rungs={**now.rungs, measurement.rung + 1: measurement.value})


class _Curve:
    """What a trial's last score says of its end, by others that were at the same place and went on: by a straight line
    through what they had there and at that end."""

    def __init__(self, found: Sequence[Evidence], of: Evidence) -> None:
        self._place, self._score = of.seen[-1]
        self._pairs = [pair for one in found if (pair := self._pair(one, of.end)) is not None]

    @property
    def others(self) -> int:
        """Trials that it rests on."""
        return len(self._pairs)

    def chance(self, best: float) -> float:
        """That the end beats ``best``; 1 where too few went on, or all from one score."""
        before, after = np.array(self._pairs).reshape(-1, 2).T
        free = len(before) - 2
        spread = float(np.sum((before - before.mean()) ** 2)) if free > 0 else 0.0
        if spread <= 0:
            return 1.0
        slope = float((before - before.mean()) @ after) / spread
        left = after - after.mean() - slope * (before - before.mean())
        away = self._score - float(before.mean())
        doubt = math.sqrt(float(left @ left) / free * (1 + 1 / len(before) + away * away / spread))
        return _beyond((best - float(after.mean()) - slope * away) / max(doubt, 1e-9), free)

    def _pair(self, one: Evidence, end: float) -> tuple[float, float] | None:
        """Its scores at the place and at the end in question, or before and after; None if it was not seen there."""
        places = [place for place, _ in one.seen]
        if not places or places[-1] < end - _SAME or all(abs(place - self._place) >= _SAME for place in places):
            return None
        before, after = np.interp([self._place, end], places, [score for _, score in one.seen])
        return float(before), float(after)


def _beyond(distance: float, free: int) -> float:
    """The chance of lying so many spreads above the expected, by Student's distribution."""
    from scipy.special import stdtr

    return float(stdtr(free, -distance))


def _above(lead: float, spread: float) -> float:
    """The chance that something with this mean and standard deviation is above zero."""
    return 0.5 * math.erfc(-lead / (max(spread, 1e-9) * math.sqrt(2)))
