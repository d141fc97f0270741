"""Where in a branch to look next: expected improvement of the score at the end, for its cost, where it is feasible.

Candidates are drawn evenly, around where each setting's search begins, and around the best trials, those of other
branches at the coordinates they share. The improvement is over the best that the model expects of a trial so far, since
scores are noisy (Jones et al. 1998, Efficient global optimization; Huang et al. 2006, Global optimization of stochastic
black-box systems, section 3.2, for the augmented form; Snoek et al. 2012, Practical Bayesian optimization, section 3.2,
for improvement a second).
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from tunewright.search.decision import DecisionTree, Leaf
from tunewright.search.encoding import ordered, place, value_at
from tunewright.search.kernel import Floats
from tunewright.search.model import Expectation, Model
from tunewright.search.prior import Leaning

EVEN, NEAR_DEFAULT, NEAR_BEST = 160, 64, 192
"""Candidates of each sort."""
_BEST = 6
"""Trials that candidates are drawn around."""
_DEFAULT_STEP, _BEST_STEP = 0.18, 0.12
"""Standard deviation of a draw around a value, of a range of 1."""
_MOVED = 0.5
"""Share of the settings that are drawn anew around a trial; the others are kept."""
_LEAST = 1e-12


class Corner:
    """The settings of one leaf as columns, and how they are drawn.

    Args:
        tree: of the space; says where searches begin.
        leaf: whose settings they are.
        model: whose frame they lie in.
        leaning: what is guessed of them.
    """

    def __init__(self, tree: DecisionTree, leaf: Leaf, model: Model, leaning: Leaning | None = None) -> None:
        self._leaf, self._model, self._leaning = leaf, model, leaning
        self.names = list(leaf.spaces)
        self._spaces = [leaf.spaces[name] for name in self.names]
        self._ordered = np.array([ordered(space) for space in self._spaces], dtype=bool)
        self._options = [len(getattr(space, "choices", ())) for space in self._spaces]
        columns = [model.frame.column(model.named[name]) for name in self.names]
        self._columns = {
            index: column
            for index, (column, space) in enumerate(zip(columns, self._spaces, strict=True))
            if column is not None and not space.single()
        }
        begin = [tree.default(name) for name in self.names]
        self._begin = np.array(
            [
                place(space, value) if value is not None else (0.5 if line else 0.0)
                for space, value, line in zip(self._spaces, begin, self._ordered, strict=True)
            ]
        )

    def rows(self, points: Floats) -> Floats:
        """(M, width) rows of the model's frame for (M, settings) points of the leaf."""
        found = self._model.frame.rows(len(points))
        for name, option in self._leaf.path:
            column = self._model.frame.column(self._model.named[name])
            if column is not None and not self._leaf.decided[name].single():
                found[:, column] = place(self._leaf.decided[name], option)
        for index, column in self._columns.items():
            found[:, column] = points[:, index]
        return found

    def params(self, point: Floats) -> dict[str, Any]:
        """Parameter values of one point."""
        return {
            name: value_at(space, float(at)) for name, space, at in zip(self.names, self._spaces, point, strict=True)
        }

    def even(self, rng: np.random.Generator, count: int) -> Floats:
        """(count, settings) points drawn evenly."""
        found = rng.random((count, len(self.names)))
        for index, options in enumerate(self._options):
            if not self._ordered[index]:
                found[:, index] = rng.integers(0, max(1, options), count)
        return self._snapped(found)

    def around(self, rng: np.random.Generator, centres: Floats, step: float, moved: float = 1.0) -> Floats:
        """One point around each of (count, settings) centres; each setting is moved with probability ``moved``."""
        drawn = centres + step * rng.standard_normal(centres.shape)
        drawn = _reflected(drawn)
        fresh = self.even(rng, len(centres))
        drawn = np.where(self._ordered, drawn, fresh)
        share = np.where(self._ordered, moved, moved * 0.4)
        return self._snapped(np.where(rng.random(centres.shape) < share, drawn, centres))

    def defaults(self, rng: np.random.Generator, count: int) -> Floats:
        """Points around where the search of each setting begins."""
        return self.around(rng, np.tile(self._begin, (count, 1)), _DEFAULT_STEP)

    def guessed(self, rng: np.random.Generator, count: int, *, exact: bool) -> Floats:
        """Points around what is guessed, and where nothing is around where the search begins.

        Args:
            exact: whether the first of them is at the guesses themselves.
        """
        found, first = self.defaults(rng, count), np.arange(count) == 0
        for index, (name, space) in enumerate(zip(self.names, self._spaces, strict=True)):
            if self._leaning is None or name not in self._leaning.guesses:
                continue
            guess = self._leaning.guesses[name]
            middle = place(space, guess.value)
            near = _reflected(middle + guess.width * rng.standard_normal(count)) if self._ordered[index] else middle
            found[:, index] = np.where(rng.random(count) < guess.share, near, found[:, index])
            found[:, index] = np.where(first & exact, middle, found[:, index])
        return self._snapped(found)

    def leaned(self, points: Floats) -> Floats:
        """(M,) the log of what is guessed of (M, settings) points; 0 where nothing is."""
        if self._leaning is None:
            return np.zeros(len(points))
        decided = self._leaning.of_decisions(self._leaf.path, self._leaf.decided)
        return decided + self._leaning.of_settings(self.names, self._spaces, points)

    def near_best(self, rng: np.random.Generator, count: int) -> Floats:
        """Points around the best trials, those of this leaf before others that are as good."""
        model = self._model
        own = list(islice(filter(self.owns, model.ranked), _BEST))
        others = (index for index in model.ranked if index not in own)
        chosen = [*own, *islice(others, max(2, _BEST - len(own)))]
        if not chosen:
            return self.defaults(rng, count)
        centres = np.array([self._point(model.rows[index]) for index in chosen])
        return self.around(rng, centres[rng.integers(0, len(centres), count)], _BEST_STEP, _MOVED)

    def candidates(self, rng: np.random.Generator, *, even: int, near_default: int, near_best: int) -> Floats:
        """(M, settings) so many points of each sort, in this order."""
        return np.concatenate([self.even(rng, even), self.defaults(rng, near_default), self.near_best(rng, near_best)])

    def parent(self) -> int | None:
        """Number of the trial that an idea in this leaf derives from: its best, or else the best of all."""
        model = self._model
        known = [index for index in model.ranked if not model.found[index].origin]
        best = next(filter(self.owns, known), known[0] if known else None)
        return None if best is None else model.found[best].number

    def owns(self, index: int) -> bool:
        """Whether the trial ``index`` of the model is of this leaf."""
        params = self._model.found[index].params
        return all(params.get(name) == option for name, option in self._leaf.path)

    def _point(self, row: Floats) -> Floats:
        """A trial's settings as a point of this leaf; what it does not have is where the search begins."""
        found = self._begin.copy()
        for index, column in self._columns.items():
            at = row[column]
            if not self._ordered[index]:
                found[index] = at if 0 <= at < max(1, self._options[index]) else found[index]
            else:
                found[index] = at
        return found

    def _snapped(self, points: Floats) -> Floats:
        """With choices among numbers at one of them."""
        for index, options in enumerate(self._options):
            if options > 1 and self._ordered[index]:
                points[:, index] = np.round(points[:, index] * (options - 1)) / (options - 1)
        return points


def _reflected(places: Floats) -> Floats:
    """With what lies beyond either end of the range put back inside."""
    found = np.abs(places)
    return np.where(found > 1, np.maximum(2 - found, 0), found)


def improvement(model: Model, expected: Expectation, *, cost_weight: float) -> Floats:
    """(M,) the log of the expected improvement times the probability of being feasible, less the log cost times
    ``cost_weight``. Where no trial of the study has a score yet, all are alike but for their cost."""
    log_cost = cost_weight * np.log(expected.cost_s)
    if model.best is None:
        return np.asarray(-log_cost)
    top = np.array([model.best])
    slope = model.warp.slope(top)
    gain = log_improvement((expected.mean - model.warp.to(top)) / expected.spread) + np.log(expected.spread / slope)
    # To measure once more what is known better than it can be measured would bring nothing (augmented, see above).
    noise = model.noise * slope
    gain += np.log(np.maximum(1.0 - noise / np.hypot(expected.spread, noise), _LEAST))
    return np.asarray(gain + np.log(np.maximum(expected.feasible, 1e-6)) - log_cost)


def log_improvement(z: Floats) -> Floats:
    """The log of what a standard normal variable is expected to be above -z, however far that is (Ament et al. 2023,
    Unexpected improvements to expected improvement, section 4.1)."""
    from scipy.special import erfcx, ndtr

    far, near = np.maximum(-z, 1.0), np.maximum(z, -1.0)
    density = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    # Past 50 the difference is lost in the digits, and 1 / z^2 is what it is.
    missing = np.where(far < 50, 1.0 - far * np.sqrt(np.pi / 2) * erfcx(far / np.sqrt(2)), 1.0 / far**2)
    beyond = density + np.log(missing)
    within = np.log(near * ndtr(near) + np.exp(-0.5 * near * near) / np.sqrt(2 * np.pi))
    return np.asarray(np.where(z < -1.0, beyond, within))
