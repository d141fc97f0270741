"""What the trials of a study make one expect of a recipe: its score at the end, its cost, whether it is feasible."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tunewright.search.decision import DecisionTree
from tunewright.search.encoding import Floats, frame_of
from tunewright.search.evidence import Evidence, clipped, trend
from tunewright.search.surrogate import Columns, Surrogate, typical

_MOST = 240
"""Observations that a model is fitted to: those of the best trials and the newest."""
_LEAST = 3
"""Trials with a score before a model is fitted."""
_UNLIMITED = 1.0


class Model:
    """Fitted to what was seen; a recipe is a row of ``frame``.

    Args:
        tree: of the space.
        found: what the trials say.
    """

    def __init__(self, tree: DecisionTree, found: Sequence[Evidence]) -> None:
        spaces = [tree.parameters(), *(one.spaces for one in found)]
        self.named = {name: tree.coordinate(name) for space in spaces for name in space}
        self.frame = frame_of(spaces, self.named)
        width = self.frame.width
        numeric = len(self.frame.numeric)
        self._settings = Columns(tuple(range(numeric)), tuple(range(numeric, width)))
        self._and_share = Columns((*range(numeric), width), tuple(range(numeric, width)))
        self.found = list(found)
        self.rows = np.array([self.frame.row(one.params, one.spaces, self.named) for one in found]).reshape(-1, width)
        self._scores = self._fit()
        self._costs = self._fit_costs()
        self._excess = self._fit_excess()
        self.worths = self._worths()
        """(N,) score at the end that is expected of each trial; NaN of what has no score, or is faulty."""

    @property
    def fitted(self) -> bool:
        """Whether there was enough to learn from."""
        return self._scores is not None

    def best(self) -> float | None:
        """The best end that is expected of a trial so far."""
        known = self.worths[np.isfinite(self.worths)]
        return float(known.max()) if len(known) else None

    def scores(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the score at the end, (M,) each."""
        assert self._scores is not None, "a model is asked for scores once it is fitted"
        return self._scores.predict(np.column_stack([rows, np.ones(len(rows))]))

    def costs(self, rows: Floats) -> Floats:
        """(M,) seconds to the end; 1 where none is known."""
        if self._costs is None:
            return np.ones(len(rows))
        return np.asarray(np.exp(self._costs.predict(rows)[0]))

    def feasible(self, rows: Floats) -> Floats:
        """(M,) probability that no limit is passed and nothing breaks."""
        if self._excess is None:
            return np.full(len(rows), _UNLIMITED)
        from scipy.special import ndtr

        mean, spread = self._excess.predict(rows)
        return np.asarray(ndtr(-mean / np.maximum(spread, 1e-9)))

    def _fit(self) -> Surrogate | None:
        gains = trend(self.found)
        seen = [
            (index, share, score + gains[share])
            for index, one in enumerate(self.found)
            if not one.faulty
            for share, score in one.seen
        ]
        if len({index for index, _, _ in seen}) < _LEAST:
            return None
        seen = _kept(seen)
        inputs = np.array([[*self.rows[index], share] for index, share, _ in seen])
        return Surrogate(self._and_share, inputs, clipped(np.array([score for _, _, score in seen])))

    def _fit_costs(self) -> Surrogate | None:
        known = [(index, one.cost_s) for index, one in enumerate(self.found) if one.cost_s is not None][-_MOST:]
        if len(known) < _LEAST:
            return None
        logs = np.array([math.log(cost) for _, cost in known])
        return Surrogate(self._settings, self.rows[[i for i, _ in known]], logs, fixed=typical(self._settings))

    def _fit_excess(self) -> Surrogate | None:
        known = [(index, one.excess) for index, one in enumerate(self.found) if one.excess is not None][-_MOST:]
        if not any(excess > 0 for _, excess in known):
            return None
        # What ran without passing anything counts as far from the limit, unless it says how far.
        said = {index for index, _ in known}
        ran = [(index, -1.0) for index, one in enumerate(self.found) if one.seen and index not in said][-_MOST:]
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


def _kept(seen: Sequence[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """At most ``_MOST`` observations, so that the time for an idea is bounded: the best trials' and the newest."""
    if len(seen) <= _MOST:
        return list(seen)
    last = {index: score for index, _, score in seen}
    best = set(sorted(last, key=lambda index: -last[index])[: _MOST // 8])
    first = [one for one in seen if one[0] in best][: _MOST // 2]
    others = [one for one in seen if one[0] not in best]
    return first + others[-(_MOST - len(first)) :]
