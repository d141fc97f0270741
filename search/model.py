"""What the trials of a study make one expect of a recipe: its score at the end, its cost, whether it is feasible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tunewright.search.curve import Curves
from tunewright.search.decision import DecisionTree
from tunewright.search.encoding import Rows
from tunewright.search.evidence import Evidence, clipped
from tunewright.search.kernel import Columns, Floats, Inputs
from tunewright.search.surrogate import Surrogate, typical
from tunewright.search.warp import Warp

_MOST = 240
"""Observations that a model is fitted to: those of the best trials and the newest."""
_LEAST = 3
"""Trials with a score before a model is fitted."""
_SHARED = 0.5
"""Of a score's noise that counts between two trials: they are measured on the same rows."""
_KIN = 4.0
"""Length scale between this study and one just like it: their scores are correlated by exp(-1/4)."""
_FADES = 10
"""Trials after which half of that length is left."""


@dataclass(frozen=True)
class _End:
    """The end of a trial: what it scored, or what its last rung says that it will."""

    trial: int
    score: float
    noise: float
    """Standard deviation against other trials, as far as it is known."""


@dataclass(frozen=True)
class Expectation:
    """Of some recipes, (M,) each."""

    mean: Floats
    spread: Floats
    """Of the score at the end, on the scale of ``Model.warp``."""
    feasible: Floats
    """Probability."""
    cost_s: Floats


class Model:
    """Fitted to what was seen; a recipe is a row of ``frame``.

    Args:
        tree: of the space.
        found: what the trials say, and what earlier studies found, whose scores are gains over their defaults.
        kinship: how alike the earlier studies are, from 0 to 1; what is learned from them fades as trials come.
        known: rows that were worked out for another model of this tree, to which those of this one are added.
    """

    def __init__(
        self, tree: DecisionTree, found: Sequence[Evidence], *, kinship: float = 1.0, known: Rows | None = None
    ) -> None:
        rows = known if known is not None else Rows(tree.coordinate)
        rows.widen([tree.parameters()])
        self.rows = rows.of([(one.params, one.spaces) for one in found])
        """(N, width) of what was found."""
        self.named, self.frame = rows.named, rows.frame
        width = self.frame.width
        numeric = len(self.frame.numeric)
        self._settings = Columns(tuple(range(numeric)), tuple(range(numeric, width)))
        self.found = list(found)
        alone = not any(one.origin for one in found)
        self._observed = self._settings if alone else replace(self._settings, studies=(width,))
        self.curves = Curves(self.found)
        self.warp = Warp(0.0)
        """Of the scores; set where there are enough."""
        self._scores = self._fit(kinship)
        self.worths = self._worths()
        """(N,) score at the end that is expected of each trial; NaN of what has no score, or is faulty."""

    @cached_property
    def own_rows(self) -> Floats:
        """(M, width) of this study's trials."""
        return self.rows[[index for index, one in enumerate(self.found) if not one.origin]]

    @property
    def noise(self) -> float:
        """Standard deviation of a score at the end, by its rows and all else that is not the recipe."""
        assert self._scores is not None, "a model has noise once it is fitted"
        best = self.best
        there = float(self.warp.slope(np.array([best]))[0]) if best is not None else 1.0
        return math.hypot(self._scores.noise / there, self._noise)

    @property
    def fitted(self) -> bool:
        """Whether there was enough to learn from."""
        return self._scores is not None

    @cached_property
    def best(self) -> float | None:
        """The best end that is expected of a trial that came to its end; of all, while none did."""
        own = [
            (one.ended, w) for one, w in zip(self.found, self.worths, strict=True) if not one.origin and np.isfinite(w)
        ]
        return max((w for ended, w in own if ended), default=max((w for _, w in own), default=None))

    @cached_property
    def ranked(self) -> list[int]:
        """Indices of the trials with a worth, the best first; of equals the first."""
        known = np.flatnonzero(np.isfinite(self.worths))
        return [int(index) for index in known[np.argsort(-self.worths[known], kind="stable")]]

    def scores(self, rows: Floats) -> tuple[Floats, Floats]:
        """Median and standard deviation of the score at the end, (M,) each."""
        return self.unwarped(*self._warped(_inputs(rows)))

    def unwarped(self, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """The same on the scores' own scale: median and standard deviation."""
        middle = self.warp.back(mean)
        return middle, spread / self.warp.slope(middle)

    def expect(self, rows: Floats) -> Expectation:
        """What is to be known of (M, width) recipes before one is chosen. Of a model that is fitted."""
        inputs = _inputs(rows)
        return Expectation(*self._warped(inputs), self._feasible(inputs), self._costs_s(inputs))

    def draws(self, rows: Floats, count: int, rng: np.random.Generator) -> Floats:
        """(count, M) draws of the scores at the end of M recipes together, as they may be for all that is known."""
        assert self._scores is not None, "a model is asked for scores once it is fitted"
        mean, covariance = self._scores.joint(_inputs(rows))
        return self.warp.back(
            rng.multivariate_normal(mean, covariance, size=count, method="eigh", check_valid="ignore")
        )

    def costs(self, rows: Floats) -> Floats:
        """(M,) seconds to the end; 1 where none is known."""
        return self._costs_s(_inputs(rows))

    def feasible(self, rows: Floats) -> Floats:
        """(M,) probability that no limit is passed and nothing breaks."""
        return self._feasible(_inputs(rows))

    def _warped(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the score at the end on the scale of ``warp``, on which it is normal."""
        assert self._scores is not None, "a model is asked for scores once it is fitted"
        return self._scores.predict(inputs)

    def _costs_s(self, inputs: Inputs) -> Floats:
        return np.exp(self._costs.mean(inputs)) if self._costs is not None else np.ones(len(inputs))

    def _feasible(self, inputs: Inputs) -> Floats:
        if self._excess is None:
            return np.ones(len(inputs))
        from scipy.special import ndtr

        mean, spread = self._excess.predict(inputs)
        return np.asarray(ndtr(-mean / np.maximum(spread, 1e-9)))

    def _fit(self, kinship: float) -> Surrogate | None:
        ends = self._ends()
        if len(ends) < _LEAST:
            return None
        ends = _kept(ends)
        scores, noises = clipped(np.array([end.score for end in ends])), np.array([end.noise for end in ends])
        self.warp = Warp.of(scores, self._noise)
        inputs = np.array([[*self.rows[end.trial], self.found[end.trial].origin] for end in ends])
        prior = typical(self._observed)
        if self._observed.studies:
            own = sum(not one.origin for one in self.found)
            prior[-2] = math.log(_KIN * max(kinship, 0.01) / (1 + own / _FADES))
        known = noises * self.warp.slope(scores)
        return Surrogate.of(self._observed, inputs, self.warp.to(scores), noises=known, prior=prior)

    def _ends(self) -> list[_End]:
        """Every trial's end that something is known of."""
        level = _level([one for one in self.found if not one.origin])
        found = []
        for index, one in enumerate(self.found):
            if one.faulty or not one.seen:
                continue
            if one.ended:
                noise = (one.noises[-1] if one.noises else None) or 0.0
                found.append(_End(index, one.seen[-1][1] + (level if one.origin else 0.0), _SHARED * noise))
            elif (end := self.curves.end(one)) is not None:
                found.append(_End(index, *end))
        return found

    @cached_property
    def _noise(self) -> float:
        """Standard deviation of a score at the end, by the rows it was measured on; 0 where nobody said."""
        known = [one.noises[-1] or 0.0 for one in self.found if one.ended and one.noises and not one.origin]
        return float(np.median(known)) if known else 0.0

    @cached_property
    def _costs(self) -> Surrogate | None:
        """Fitted when it is first asked for, as what follows: a scheduler asks for neither."""
        own = [(index, one) for index, one in enumerate(self.found) if not one.origin]
        known = [(index, one.cost_s) for index, one in own if one.cost_s is not None][-_MOST:]
        if len(known) < _LEAST:
            return None
        logs = np.array([math.log(cost) for _, cost in known])
        return Surrogate.of(self._settings, self.rows[[i for i, _ in known]], logs, fixed=typical(self._settings))

    @cached_property
    def _excess(self) -> Surrogate | None:
        known = [(index, one.excess) for index, one in enumerate(self.found) if one.excess is not None][-_MOST:]
        if not any(excess > 0 for _, excess in known):
            return None
        # What ran without passing anything counts as far from the limit, unless it says how far.
        said = {index for index, _ in known}
        ran = [
            (index, -1.0) for index, one in enumerate(self.found) if one.seen and not one.origin and index not in said
        ][-_MOST:]
        both = known + ran
        targets = np.clip([excess for _, excess in both], -1.0, 1.0)
        return Surrogate.of(self._settings, self.rows[[i for i, _ in both]], targets, fixed=typical(self._settings))

    def _worths(self) -> Floats:
        found = np.full(len(self.found), np.nan)
        known = [index for index, one in enumerate(self.found) if one.seen and not one.faulty]
        if known and self._scores is not None:
            found[known] = self.scores(self.rows[known])[0]
        else:
            for index in known:
                found[index] = self.found[index].seen[-1][1]
        return found


def _inputs(rows: Floats) -> Inputs:
    """Recipes as they would be in this study, whose number is 0."""
    return Inputs(np.column_stack([rows, np.zeros(len(rows))]))


def _level(own: Sequence[Evidence]) -> float:
    """What an earlier study's gains are added to: the end of the first trial, which is the default, or the mean."""
    ends = [one.seen[-1][1] for one in own if one.ended]
    first = next((one.seen[-1][1] if one.ended else None for one in own), None)
    return first if first is not None else float(np.mean(ends)) if ends else 0.0


def _kept(ends: Sequence[_End]) -> list[_End]:
    """At most ``_MOST`` ends, so that the time for an idea is bounded: the best and the newest."""
    if len(ends) <= _MOST:
        return list(ends)
    best = set(sorted(range(len(ends)), key=lambda index: -ends[index].score)[: _MOST // 4])
    first = [ends[index] for index in sorted(best)]
    others = [end for index, end in enumerate(ends) if index not in best]
    return first + others[-(_MOST - len(first)) :]
