"""Pauses at a rung what has come to promise less than a new trial would, and goes on with it when it promises more.

Where successive halving looks at ranks at one rung alone, this asks a model of all trials what the rung says of the
end: by what trials gained from there on, and by how alike recipes are. What is expected of the rest of a trial for what
the rest costs is compared with what was expected of the whole for what that costs, which is what another would promise:
a rung that says nothing changes nothing, and a trial that was begun with little hope is not paused for having little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tunewright.domain.outcome import Measurement
from tunewright.domain.proposal import Plan
from tunewright.domain.protocols import Promotion, Steering
from tunewright.domain.study import Study
from tunewright.search.belief import Belief
from tunewright.search.curtailment import Curtailing
from tunewright.search.evidence import Evidence
from tunewright.search.model import Model
from tunewright.search.observed import Observed
from tunewright.search.prospect import Prospects
from tunewright.search.pruning import foregone, higher_is_better, least_peers

LESS = 0.25
"""Share of what was expected when a trial was begun, below which it is paused."""
AS_MUCH = 0.5
"""Share of what the best new trial promises, above which one that waits goes on instead."""
CHANCE = 0.02
"""Of beating the best, below which nothing that waits is gone on with."""
LET_ON, _PART = 4, "quarter"
"""One of so many goes on at a rung whatever it promises."""
_LEAST_LEFT = 0.05
"""Of a trial, that there is at least still to pay for."""


class PromisingScheduler(Curtailing):
    """Pauses a trial whose rest promises less than ``less`` of what a new trial does, for what each costs.

    Args:
        less: below which it is paused.
    """

    pauses = True

    def __init__(self, less: float = LESS) -> None:
        self._less = less
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
        view = self._opened(study)
        outlook = view.outlook(study, job, measurement) if view is not None else None
        if outlook is None:
            return Steering(action="continue", reason=f"{where}; too few trials are done to say anything of its end")
        said = f"{where}; it beats the best at its end with a chance of {100 * outlook.chance:.0f} %"
        if outlook.share >= self._less:
            return Steering(action="continue", reason=said)
        # What is gained after a rung is known from those that went on: the best of each rung have to be among them.
        if 1 + sum(_as_good(study, m.value, measurement.value) for m in others) <= (1 + len(others)) / LET_ON:
            return Steering(action="continue", reason=f"{said}, but it is in the best {_PART} at this rung")
        return Steering(
            action="pause", reason=f"{said}: its rest promises {outlook.share:.2f} of what a new trial does"
        )

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``."""
        view = self._opened(study) if study.waiting else None
        return view.promotion(study, closing=closing) if view is not None else None

    def _opened(self, study: Study) -> _View | None:
        """None before enough trials are done."""
        assert study.plan is not None
        if sum(one.estimate is not None for one in study.trials) < least_peers(study):
            return None
        if self._view is None or not self._view.fits(study.plan):
            self._view = _View(study.plan)
        return self._view


@dataclass(frozen=True)
class _Outlook:
    """What a rung says of a trial."""

    chance: float
    """Of beating the best at the end."""
    share: float
    """What its rest promises for its cost, of what the whole did before it was begun."""


def _as_good(study: Study, other: float, score: float) -> bool:
    return other >= score if higher_is_better(study) else other <= score


class _View:
    """The study's trials, and what they promise."""

    def __init__(self, plan: Plan) -> None:
        self._observed = Observed(plan)
        self._tree = self._observed.tree

    def fits(self, plan: Plan) -> bool:
        return self._observed.fits(plan)

    def outlook(self, study: Study, job: str, measurement: Measurement) -> _Outlook | None:
        """Of a trial at a rung, which need not be in the journal yet; None where nothing can be said."""
        ids, found = self._observed.trials(study, {job: measurement})
        if job not in ids:
            return None
        index = ids.index(job)
        model = self._observed.model(_untold(found, [index]))
        if not model.fitted or model.best is None:
            return None
        if model.curves.end(found[index]) is None:
            return None
        (before,) = Belief.of(model, [index])
        told = _told(model, found[index], before)
        rest, whole = told.log_gain, before.log_gain
        return _Outlook(told.chance, math.exp(min(0.0, rest - whole)) / self._left(found[index]))

    def promotion(self, study: Study, *, closing: bool) -> Promotion | None:
        """The trial that waits and promises most for what its rest costs, if that is more than a new one would."""
        ids, found = self._observed.trials(study)
        waiting = {job.id for job in study.waiting}
        known = [index for index, job in enumerate(ids) if job in waiting and found[index].seen]
        if not known:
            return None
        model = self._observed.model(_untold(found, known))
        if not model.fitted or model.best is None:
            return None
        known = [index for index in known if model.curves.end(found[index]) is not None]
        if not known:
            return None
        before = Belief.of(model, known)
        told = [(index, _told(model, found[index], one)) for index, one in zip(known, before, strict=True)]
        costs = np.log(model.costs(model.rows[[index for index, _ in told]]))
        rates = [
            one.log_gain - cost - math.log(self._left(found[i])) for (i, one), cost in zip(told, costs, strict=True)
        ]
        rate, (index, one) = max(zip(rates, told, strict=True), key=lambda pair: pair[0])
        if one.chance < CHANCE:
            return None
        if not closing:
            rng, whole = np.random.default_rng(len(study.proposals)), self._observed.model(found)
            if rate <= Prospects(self._tree, whole, rng, cost_weight=1.0).promise(()) + math.log(AS_MUCH):
                return None
        reason = f"by now it beats the best at its end with a chance of {100 * one.chance:.0f} %"
        return Promotion(job=ids[index], reason=reason)

    def _left(self, one: Evidence) -> float:
        """Share of a trial that is still to come."""
        pace, place = self._tree.pace, one.seen[-1][0]
        done = pace.amount(place) / pace.amount(one.end) if pace is not None else place
        return max(1.0 - done, _LEAST_LEFT)


def _told(model: Model, one: Evidence, before: Belief) -> Belief:
    """What others and its own rung say of a trial.

    Args:
        one: of which enough others went on from its rung.
        before: what others alone say.
    """
    end = model.curves.end(one)
    assert end is not None, "told of trials of which enough others went on"
    return before.with_own(*end)


def _untold(found: list[Evidence], without: list[int]) -> list[Evidence]:
    """What the trials say, but for the scores of some."""
    hidden = set(without)
    return [replace(one, seen=(), noises=()) if index in hidden else one for index, one in enumerate(found)]
