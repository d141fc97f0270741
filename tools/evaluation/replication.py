"""Is one recipe better than another, over seeds as well as items: the claim at the end of a study.

Items and seeds are crossed: every seed is scored on the same items. That is the layout of diagnostic studies in which
several readers read the same cases, and the variance is theirs: what seeds add, and what items add that seeds do not
already show, with Satterthwaite's degrees of freedom (Dorfman, Berbaum and Metz 1992; Hillis 2014, Statistics in
Medicine 33, 330-360). A bootstrap over seeds would say nothing where there are two of them.

Two or three repeats say little of the spread between seeds, and by luck they may say that there is none. Their variance
is therefore shrunk towards a prior (the moderated t of Smyth 2004), which is measured too: the share of it that comes
from single items that flip between seeds, doubled. docs/decisions/0014 has what that holds and what it costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.tools.evaluation.resampling import Floats, permutation
from tunewright.tools.evaluation.statistics import RESAMPLES

PRIOR_FREEDOM = 2.0
"""Degrees of freedom that the prior on the variance between seeds counts for."""
PRIOR_TIMES = 2.0
"""The prior, in times of what flipping items alone make of it."""
_EXACT_ITEMS = 1_000
"""Up to this many items the signs of the differences are swapped too: with few, Student's t rejects too often."""


@dataclass(frozen=True)
class Repeated:
    """One recipe, or the untouched model, and its runs on the same items."""

    name: str
    runs: Floats
    """(S, N) values whose mean stands for it."""
    chosen: Floats | None = None
    """(N,) of the run it was chosen by: too good on average, so it counts for the spread between seeds alone."""
    seeded: bool = True
    """Whether another seed would give another run; not so for the untouched model."""

    @property
    def mean(self) -> float:
        return float(self.runs.mean())

    @property
    def all_runs(self) -> Floats:
        return self.runs if self.chosen is None else np.vstack([self.chosen[None], self.runs])


@dataclass(frozen=True)
class SeedSpread:
    """How far seeds move one recipe."""

    between: float
    """Variance of a run's score between seeds of one recipe."""
    flips: float
    """Variance of one item's value between seeds, the run's mean taken out."""
    freedom: int
    """Repeats it is known from; 0: nothing was repeated and nothing is known."""

    def moderated(self, items: int) -> tuple[float, float]:
        """Variance of a run's score between seeds with the prior in, and its degrees of freedom."""
        if not self.freedom:
            return 0.0, math.inf
        freedom = PRIOR_FREEDOM + self.freedom
        prior = PRIOR_FREEDOM * PRIOR_TIMES * self.flips / items
        return (prior + self.freedom * self.between) / freedom, freedom


@dataclass(frozen=True)
class Contrast:
    """How much better one is than the other, and how sure that is."""

    gain: float
    low: float
    high: float
    p: float
    """Two-sided."""
    over_items: float
    """Half of the 95 % interval if items were all there is to chance."""


def seed_spread(recipes: Sequence[Repeated]) -> SeedSpread:
    """The spread between seeds, pooled over every recipe with more than one run."""
    between = flips = 0.0
    freedom = flip_freedom = 0
    for runs in (recipe.all_runs for recipe in recipes if recipe.seeded):
        means = runs.mean(axis=1, keepdims=True)
        between += float(((means - means.mean()) ** 2).sum())
        flips += float(((runs - runs.mean(axis=0) - means + means.mean()) ** 2).sum())
        freedom += len(runs) - 1
        flip_freedom += (len(runs) - 1) * (runs.shape[1] - 1)
    return SeedSpread(between / max(1, freedom), flips / max(1, flip_freedom), freedom)


def contrast(
    mine: Repeated, theirs: Repeated, spread: SeedSpread, *, sign: float = 1.0, exact: bool = True
) -> Contrast:
    """``mine`` against ``theirs`` on the same items.

    Args:
        sign: -1 where less is better.
        exact: also asks a permutation test, where the items are few enough for it to matter.

    Raises:
        ValueError: the two are not of the same items.
    """
    if mine.runs.shape[1] != theirs.runs.shape[1]:
        raise ValueError(f"{mine.runs.shape[1]} items of {mine.name}, {theirs.runs.shape[1]} of {theirs.name}")
    differences = sign * (mine.runs.mean(axis=0) - theirs.runs.mean(axis=0))
    n, gain = differences.size, float(differences.mean())
    seeds = sum(1 / len(side.runs) for side in (mine, theirs) if side.seeded)
    between, freedom = spread.moderated(n)
    from_seeds = between * seeds
    from_items = float(differences.var(ddof=1)) / n if n > 1 else math.inf
    rest = max(0.0, from_items - spread.flips / n * seeds)
    error = math.sqrt(from_seeds + rest)
    parts = (from_seeds**2 / freedom if from_seeds else 0.0) + (rest**2 / (n - 1) if n > 1 else 0.0)
    freedom = error**4 / parts if parts else float(max(1, n - 1))
    p, reach = _student(gain, error, freedom)
    if exact and p < 0.05:
        p = max(p, _swapped(differences, gain))
    return Contrast(gain, gain - reach, gain + reach, p, 1.96 * math.sqrt(from_items))


def _student(gain: float, error: float, freedom: float) -> tuple[float, float]:
    """Two-sided p, and half of the 95 % interval."""
    from scipy.special import stdtr, stdtrit

    if not math.isfinite(gain) or not math.isfinite(error):
        return 1.0, math.inf
    if error == 0:
        return (0.0 if gain else 1.0), 0.0
    return 2 * float(stdtr(freedom, -abs(gain) / error)), float(stdtrit(freedom, 0.975)) * error


def _swapped(differences: Floats, gain: float) -> float:
    """p of swapping the two sides of items at random, or 0 where it is too small to be seen in that many tries."""
    n = differences.size
    if n > _EXACT_ITEMS:
        return 0.0
    p = permutation(lambda kept, swapped: (kept - swapped) @ differences / n, gain, n, RESAMPLES, 0)
    return p if p > 1.5 / (RESAMPLES + 1) else 0.0
