"""Pauses at a rung what is not expected to win at its end, and goes on with it when it is.

Where successive halving looks at ranks at one rung alone, this asks what the rung says of the end: by what trials
gained from there on, and by a model of all of them that knows how alike recipes are. A trial goes on while both leave
it a chance to beat the best.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunewright.domain.outcome import Measurement
from tunewright.domain.protocols import Promotion, Steering
from tunewright.domain.space import Space
from tunewright.domain.study import Study
from tunewright.search.curtailment import Curtailing
from tunewright.search.evidence import COST, Evidence, gather, trend
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
_PAIRS = 3
"""Trials that went on from a rung before what they gained says anything."""


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
        if self._view is None or not self._view.fits(study.plan.space):
            self._view = _View(study.plan.space)
        return self._view.chances(study, newest)


class _View:
    """The study's trials as a model has them."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._history, self._standings, self._tree = History(space), Standings(), SpaceTree(space)

    def fits(self, space: Space) -> bool:
        return self._history.fits(space)

    def chances(self, study: Study, newest: dict[str, Measurement]) -> dict[str, float]:
        """See ``PromisingScheduler._chances``."""
        entries = [e for e in self._history.entries(study) if e.point is not None and e.id in study.jobs]
        trials = [self._trial(study, entry, number, newest) for number, entry in enumerate(entries)]
        found = gather(trials, maximise=higher_is_better(study))
        model = Model(self._tree, found)
        known = [index for index, one in enumerate(found) if one.seen and not one.faulty]
        ended = [index for index in known if found[index].seen[-1][0] == 1.0]
        if not model.fitted or not ended:
            return {}
        best = max(model.worths[index] for index in ended)
        mean, spread = model.scores(model.rows[known])
        by_kin = {index: _above(m - best, s) for index, m, s in zip(known, mean, spread, strict=True)}
        by_curve = _by_curve(found, max(found[index].seen[-1][1] for index in ended))
        return {entries[found[i].number].id: min(by_kin[i], by_curve.get(i, 1.0)) for i in known}

    def _trial(self, study: Study, entry: Entry, number: int, newest: dict[str, Measurement]) -> FrozenTrial:
        now = self._standings.of(study, entry)
        if entry.id in newest:
            now = _with(now, newest[entry.id])
        assert entry.point is not None, "only entries inside the space are asked about"
        trial = now.as_trial(entry.point, self._space, user_attrs={COST: now.cost_s} if now.cost_s else {})
        trial.number = number
        return trial


def _with(now: Standing, measurement: Measurement) -> Standing:
    assert measurement.rung is not None
    return replace(now, rungs={**now.rungs, measurement.rung + 1: measurement.value})


def _by_curve(found: Sequence[Evidence], best: float) -> dict[int, float]:
    """Trial, as its index -> the chance by its own curve alone: what others gained from its rung on, and how evenly."""
    gains = trend(found)
    pairs = [dict(one.seen) for one in found]
    chances: dict[int, float] = {}
    for index, one in enumerate(found):
        if not one.seen or one.seen[-1][0] == 1.0:
            continue
        share, score = one.seen[-1]
        gained = [pair[1.0] - pair[share] for pair in pairs if 1.0 in pair and share in pair]
        if len(gained) >= _PAIRS:
            chances[index] = _above(score + gains[share] - best, statistics.stdev(gained))
    return chances


def _above(lead: float, spread: float) -> float:
    """The chance that something with this mean and standard deviation is above zero."""
    return 0.5 * math.erfc(-lead / (max(spread, 1e-9) * math.sqrt(2)))
