"""Ends a search that has nothing left to gain: what the rest of the budget is expected to buy is lost in the noise.

A model of all trials says by how much the best idea is expected to improve on the best so far, and what it costs. As
many such ideas as the budget still covers would gain no more than that many times as much: later ones gain less. Where
even that is a small part of what the items can tell apart, nobody could say afterwards whether it was there. Nor is
there anything left to gain over the best value that the metric has.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

from tunewright.domain import ledger
from tunewright.domain.goal import tradeoffs
from tunewright.domain.lineage import decisions
from tunewright.domain.proposal import Plan
from tunewright.domain.study import Study
from tunewright.search.acquisition import Corner, improvement
from tunewright.search.decision import leaf_at
from tunewright.search.history import seed_for
from tunewright.search.kernel import Floats
from tunewright.search.model import Model
from tunewright.search.observed import Observed
from tunewright.search.prospect import some_leaves

SHARE = 0.25
"""Of the standard error of a difference between two trials. Half of what the items can tell apart, a share of 1, would
say as much afterwards; but where the model is sure and wrong that loses more than it spares (decision 20)."""
LEAST_TRIALS = 10
"""That have ended, before a model is believed that nothing is left to gain."""
TIMES_BRANCHES = 2
"""Such trials for each option of the first decision, before that."""
_LEAVES = 20
"""Branches that are looked into where there are more."""
_EVEN, _NEAR = 96, 32
"""Candidates of each sort in a branch: drawn evenly and around the best; around where searches begin."""
_JOINT, _DRAWS = 128, 256
"""Candidates whose scores are drawn together, and how often."""
_95 = 1.96


@dataclass(frozen=True)
class Outlook:
    """What the rest of a budget is expected to buy."""

    gain: float
    """That the best idea is expected to bring over the best so far, where it is feasible."""
    ideas: float
    """How many such the rest of the budget covers."""
    ceiling: float
    """What would be gained if every recipe were measured."""
    noise: float
    """Standard error of the difference between two trials."""
    room: float = math.inf
    """Up to the best value that the metric has."""

    @property
    def total(self) -> float:
        """What all of them would bring at most."""
        return min(self.gain * self.ideas, self.ceiling, self.room)


class Governor:
    """Says when a search should end early. Learns from the study alone.

    Args:
        share: of the noise, below which the expected gain of the rest of the budget ends the search.
        best: of a metric's name, the best value that there is; None where there is none.
    """

    def __init__(self, share: float = SHARE, best: Callable[[str], float | None] = lambda metric: None) -> None:
        self._share, self._best = share, best
        self._seen: _Seen | None = None

    def ends(self, study: Study) -> str:
        """Why the search should end now; nothing if it should go on."""
        if not due(study):
            return ""
        metric = study.task.metric.name if study.task is not None else "score"
        if self._room(study) <= 0:
            return f"with {_left(study)} of the budget left: {study.incumbent} has the best {metric} that there is"
        outlook = self.outlook(study)
        if outlook is None or outlook.total >= self._share * outlook.noise:
            return ""
        return (
            f"with {_left(study)} of the budget left: the rest is expected to gain {outlook.total:.2g} {metric} at "
            f"most, and a difference has a standard error of {outlook.noise:.2g}"
        )

    def outlook(self, study: Study) -> Outlook | None:
        """What is left to gain; None where that cannot be said."""
        assert study.plan is not None
        noise = noise_of(study)
        if self._seen is None or not self._seen.fits(study.plan):
            self._seen = _Seen(study.plan)
        model = self._seen.model(study)
        if noise is None or not model.fitted or model.best is None:
            return None
        rng = np.random.default_rng(seed_for(study.plan.seed, "governor", len(study.proposals)))
        rows = self._seen.candidates(model, rng)
        expected = model.expect(rows)
        gains, ideas = np.exp(improvement(model, expected, cost_weight=0.0)), _affordable(study, expected.cost_s)
        promised = gains * ideas
        at = int(np.argmax(promised))
        order = np.argsort(-promised)[:_JOINT]
        return Outlook(float(gains[at]), float(ideas[at]), _ceiling(model, rows[order], rng), noise, self._room(study))

    def _room(self, study: Study) -> float:
        """What the incumbent lacks of the best value that the metric has."""
        job = study.jobs.get(study.incumbent or "")
        if study.task is None or job is None or job.score is None:
            return math.inf
        metric = study.task.metric
        best = self._best(metric.name)
        return math.inf if best is None else metric.gain(best, job.score)


def due(study: Study) -> bool:
    """Whether enough was tried, and the brief leaves it to the search how many trials it takes."""
    if study.plan is None or study.budget is None or not study.options.early_end or study.wishes.every_trial:
        return False
    if tradeoffs(study.plan.task):  # what is left to gain in the other goals is not looked at
        return False
    ended = sum(job.ended or job.waiting for job in study.trials)
    first = next((d for d in decisions(study.plan.space).values() if len(d.options) > 1), None)
    return ended >= max(LEAST_TRIALS, TIMES_BRANCHES * len(first.options) if first is not None else 0)


def noise_of(study: Study) -> float | None:
    """Standard error of the difference between two trials, by the middle one of the verdicts, or else of the scores;
    None where no interval is known."""
    wide = [(v.high - v.low) / 2 for v in study.verdicts if v.against in study.proposals]
    if not wide:  # of one score, for want of pairs
        ends = [getattr(getattr(job.outcome, "result", None), "measurement", None) for job in study.trials]
        wide = [(m.high - m.low) / 2 for m in ends if m is not None and m.high is not None and m.low is not None]
    wide = [half for half in wide if math.isfinite(half) and half > 0]
    return median(wide) / _95 if wide else None


class _Seen:
    """The study's trials, those of earlier studies, and recipes that may be tried."""

    def __init__(self, plan: Plan) -> None:
        self._observed = Observed(plan)
        self._tree = self._observed.tree

    def fits(self, plan: Plan) -> bool:
        return self._observed.fits(plan)

    def model(self, study: Study) -> Model:
        _, found = self._observed.trials(study)
        return self._observed.model(found)

    def candidates(self, model: Model, rng: np.random.Generator) -> Floats:
        """Recipes of every branch, or where there are many of the best and of some drawn evenly."""
        found = []
        for path in some_leaves(self._tree, model, rng, _LEAVES):
            corner = Corner(self._tree, leaf_at(self._tree, path), model)
            found.append(corner.rows(corner.candidates(rng, even=_EVEN, near_default=_NEAR, near_best=_EVEN)))
        # What waits at a rung may yet come to its end.
        waiting = [index for index, one in enumerate(model.found) if one.running]
        return np.concatenate([*found, model.rows[waiting]])


def _ceiling(model: Model, rows: Floats, rng: np.random.Generator) -> float:
    """By how much the best that is believed of any of the recipes would rise if each were measured once.

    A measurement is noisy, so what is believed moves by less than what is not known (Frazier et al. 2009, The
    knowledge-gradient policy for correlated normal beliefs, section 2.2, for one measurement; here each for itself).
    """
    best, (mean, spread) = model.best, model.scores(rows)
    assert best is not None, "a model that is asked has seen a trial"
    moved = (model.draws(rows, _DRAWS, rng) - mean) * spread / np.hypot(spread, model.noise)
    return float(np.mean(np.maximum((mean + moved).max(axis=1) - best, 0.0)))


def _affordable(study: Study, costs: Floats) -> Floats:
    """How many trials of each cost the rest of the budget covers."""
    assert study.budget is not None
    left = ledger.wall_left(study, now=study.seen_at)
    by_time = (
        left * study.options.slots / np.maximum(costs, 1e-9) if math.isfinite(left) else np.full(len(costs), np.inf)
    )
    if study.budget.trials is None:
        return by_time
    return np.minimum(by_time, study.budget.trials - len(study.trials))


def _left(study: Study) -> str:
    """How much of the scarcest currency is left for the search, such as ``41 %``."""
    assert study.plan is not None and study.budget is not None
    left = study.budget.left(study.spent(study.seen_at) + study.plan.keep)
    caps = study.budget.left(study.plan.keep)
    shares = [left[name] / caps[name] for name in left if caps[name] > 0]
    return f"{100 * min(shares, default=0.0):.0f} %"
