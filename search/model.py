"""What the trials of a study make one expect of a recipe: its score at the end, its cost, whether it is feasible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tunewright.search.decision import DecisionTree
from tunewright.search.encoding import frame_of
from tunewright.search.evidence import Evidence, Trend, clipped
from tunewright.search.surrogate import Columns, Floats, Surrogate, typical

_MOST = 240
"""Observations that a model is fitted to: those of the best trials and the newest."""
_LEAST = 3
"""Trials with a score before a model is fitted."""
_KIN = 4.0
"""Length scale between this study and one just like it: their scores are correlated by exp(-1/4)."""
_FADES = 10
"""Trials after which half of that length is left."""


@dataclass(frozen=True)
class _Look:
    """One observation."""

    trial: int
    place: float
    score: float
    noise: float
    """Standard deviation by the rows it was measured on; 0 where nobody said."""


class Model:
    """Fitted to what was seen; a recipe is a row of ``frame`` and then the place of its end.

    Args:
        tree: of the space.
        found: what the trials say, and what earlier studies found, whose scores are gains over their defaults.
        kinship: how alike the earlier studies are, from 0 to 1; what is learned from them fades as trials come.
    """

    def __init__(self, tree: DecisionTree, found: Sequence[Evidence], *, kinship: float = 1.0) -> None:
        spaces = [tree.parameters(), *(one.spaces for one in found)]
        self.named = {name: tree.coordinate(name) for space in spaces for name in space}
        self.frame = frame_of(spaces, self.named)
        width = self.frame.width
        numeric = len(self.frame.numeric)
        self._settings = Columns(tuple(range(numeric)), tuple(range(numeric, width)))
        # Beside a recipe's settings: how far it had come, and which study it is of.
        self._observed = Columns((*range(numeric), width), (*range(numeric, width), width + 1))
        self.found = list(found)
        self.rows = np.array([[*self.frame.row(one.params, one.spaces, self.named), one.end] for one in found]).reshape(
            -1, width + 1
        )
        self.trend = Trend([one for one in self.found if not one.origin])
        self._scores = self._fit(kinship)
        self.worths = self._worths()
        """(N,) score at the end that is expected of each trial; NaN of what has no score, or is faulty."""

    @property
    def own_rows(self) -> Floats:
        """(M, width + 1) of this study's trials."""
        return self.rows[[index for index, one in enumerate(self.found) if not one.origin]]

    @property
    def noise(self) -> float:
        """Standard deviation of a score at the end, by its rows and all else that is not the recipe."""
        assert self._scores is not None, "a model has noise once it is fitted"
        known = [one.noises[-1] or 0.0 for one in self.found if one.ended and one.noises and not one.origin]
        return math.hypot(self._scores.noise, float(np.median(known)) if known else 0.0)

    @property
    def fitted(self) -> bool:
        """Whether there was enough to learn from."""
        return self._scores is not None

    def best(self) -> float | None:
        """The best end that is expected of a trial so far."""
        known = [w for one, w in zip(self.found, self.worths, strict=True) if not one.origin and np.isfinite(w)]
        return float(max(known)) if known else None

    def scores(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the score at the end, (M,) each."""
        assert self._scores is not None, "a model is asked for scores once it is fitted"
        mean, spread = self._scores.predict(np.column_stack([rows, np.zeros(len(rows))]))
        return mean - self.trend.between(rows[:, -1], 1.0), spread

    def draws(self, rows: Floats, count: int, rng: np.random.Generator) -> Floats:
        """(count, M) draws of the scores at the end of M recipes together, as they may be for all that is known."""
        assert self._scores is not None, "a model is asked for scores once it is fitted"
        _, covariance = self._scores.joint(np.column_stack([rows, np.zeros(len(rows))]))
        mean = self.scores(rows)[0]
        return rng.multivariate_normal(mean, covariance, size=count, method="eigh", check_valid="ignore")

    def costs(self, rows: Floats) -> Floats:
        """(M,) seconds to the end; 1 where none is known."""
        if self._costs is None:
            return np.ones(len(rows))
        return np.asarray(np.exp(self._costs.predict(rows)[0]))

    def feasible(self, rows: Floats) -> Floats:
        """(M,) probability that no limit is passed and nothing breaks."""
        if self._excess is None:
            return np.ones(len(rows))
        from scipy.special import ndtr

        mean, spread = self._excess.predict(rows)
        return np.asarray(ndtr(-mean / np.maximum(spread, 1e-9)))

    def _fit(self, kinship: float) -> Surrogate | None:
        own = [one for one in self.found if not one.origin]
        level = _level(own)
        seen = [
            _Look(
                index,
                place,
                score + (level if one.origin else 0.0) + float(self.trend.between(place, 1.0)),
                (one.noises[number] if one.noises else None) or 0.0,
            )
            for index, one in enumerate(self.found)
            if not one.faulty
            for number, (place, score) in enumerate(one.seen)
        ]
        if len({look.trial for look in seen}) < _LEAST:
            return None
        seen = _kept(seen)
        inputs = np.array([[*self.rows[s.trial][:-1], s.place, self.found[s.trial].origin] for s in seen])
        scores = clipped(np.array([look.score for look in seen]))
        noises = np.array([look.noise for look in seen])
        prior = typical(self._observed)
        prior[-2] = math.log(_KIN * max(kinship, 0.01) / (1 + len(own) / _FADES))
        return Surrogate(self._observed, inputs, scores, noises=noises, prior=prior)

    @cached_property
    def _costs(self) -> Surrogate | None:
        """Fitted when it is first asked for, as what follows: a scheduler asks for neither."""
        own = [(index, one) for index, one in enumerate(self.found) if not one.origin]
        known = [(index, one.cost_s) for index, one in own if one.cost_s is not None][-_MOST:]
        if len(known) < _LEAST:
            return None
        logs = np.array([math.log(cost) for _, cost in known])
        return Surrogate(self._settings, self.rows[[i for i, _ in known]], logs, fixed=typical(self._settings))

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
        return Surrogate(self._settings, self.rows[[i for i, _ in both]], targets, fixed=typical(self._settings))

    def _worths(self) -> Floats:
        found = np.full(len(self.found), np.nan)
        known = [index for index, one in enumerate(self.found) if one.seen and not one.faulty]
        if known and self._scores is not None:
            found[known] = self.scores(self.rows[known])[0]
        else:
            for index in known:
                found[index] = self.found[index].seen[-1][1]
        return found


def _level(own: Sequence[Evidence]) -> float:
    """What an earlier study's gains are added to: the end of the first trial, which is the default, or the mean."""
    ends = [one.seen[-1][1] for one in own if one.ended]
    first = next((one.seen[-1][1] if one.ended else None for one in own), None)
    return first if first is not None else float(np.mean(ends)) if ends else 0.0


def _kept(seen: Sequence[_Look]) -> list[_Look]:
    """At most ``_MOST`` observations, so that the time for an idea is bounded: the best trials' and the newest."""
    if len(seen) <= _MOST:
        return list(seen)
    last = {look.trial: look.score for look in seen}
    best = set(sorted(last, key=lambda index: -last[index])[: _MOST // 8])
    first = [look for look in seen if look.trial in best][: _MOST // 2]
    others = [look for look in seen if look.trial not in best]
    return first + others[-(_MOST - len(first)) :]
