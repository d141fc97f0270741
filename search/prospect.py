"""What a model expects of each branch: its best recipe, whether or not anything like it was tried there.

A branch is not judged by what happened to be tried in it. Where one adapter was tried with the right learning rate and
another with a wrong one, the model knows what the right one would do there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from tunewright.search.acquisition import Corner, improvement
from tunewright.search.decision import DecisionTree, Path, leaf_at, path_of
from tunewright.search.kernel import Floats
from tunewright.search.model import Model
from tunewright.search.prior import Leaning

_EVEN, _NEAR_DEFAULT, _NEAR_BEST = 16, 4, 16
"""Candidates of each sort in a branch."""
_LEAVES = 32
"""Branches that are looked into where there are more: the best trials' and others drawn evenly."""
_NOISES = 4.0
"""Noises that all worths are taken to span at least: what differs less is no reason to prefer a branch."""


class Prospects:
    """Branches by what a fitted model expects.

    Args:
        tree: of the space.
        model: of the study.
        rng: draws the candidates.
        cost_weight: see ``improvement``.
        leaning: what is guessed of settings; it counts for what a branch promises, and not for what it is worth.
    """

    def __init__(
        self,
        tree: DecisionTree,
        model: Model,
        rng: np.random.Generator,
        *,
        cost_weight: float,
        leaning: Leaning | None = None,
    ) -> None:
        self._tree, self._model, self._rng, self._cost_weight = tree, model, rng, cost_weight
        self._leaning = leaning

    def worth(self, path: Path) -> float:
        """Of the best recipe after these decisions: 0 is the worst trial and 1 the best."""
        known = self._model.worths[np.isfinite(self._model.worths)]
        span = max(float(known.max() - known.min()), _NOISES * self._model.noise)
        return (max(best for best, _ in self._after(path)) - float(known.max())) / span + 1.0

    def promise(self, path: Path) -> float:
        """The best improvement after these decisions; see ``improvement``."""
        return max(gain for _, gain in self._after(path))

    def _after(self, path: Path) -> list[tuple[float, float]]:
        found = [said for leaf, said in self._leaves.items() if leaf[: len(path)] == path]
        if not found:  # it was not among those that were looked into
            leaf = leaf_at(self._tree, path).path
            if leaf not in self._leaves:
                self._leaves.update(self._look([leaf]))
            found = [self._leaves[leaf]]
        return found

    @cached_property
    def _leaves(self) -> dict[Path, tuple[float, float]]:
        return self._look(some_leaves(self._tree, self._model, self._rng, _LEAVES))

    def _look(self, paths: Sequence[Path]) -> dict[Path, tuple[float, float]]:
        """What is expected of the best of some candidates of each branch, and the best improvement."""
        drawn = [self._candidates(path) for path in paths]
        # At once: to ask a model takes longer than what is asked about does.
        expected = self._model.expect(np.concatenate([rows for rows, _ in drawn]))
        gains = improvement(self._model, expected, cost_weight=self._cost_weight)
        gains += np.concatenate([leaned for _, leaned in drawn])
        middles, _ = self._model.unwarped(expected.mean, expected.spread)
        worst = float(np.nanmin(self._model.worths))
        worths = worst + expected.feasible * (middles - worst)
        ends = np.cumsum([len(rows) for rows, _ in drawn])[:-1]
        of_each = zip(paths, np.split(worths, ends), np.split(gains, ends), strict=True)
        return {path: (float(worth.max()), float(gain.max())) for path, worth, gain in of_each}

    def _candidates(self, path: Path) -> tuple[Floats, Floats]:
        """Rows of some recipes of a branch, and what is guessed of them."""
        corner = Corner(self._tree, leaf_at(self._tree, path), self._model, self._leaning)
        points = corner.candidates(self._rng, even=_EVEN, near_default=_NEAR_DEFAULT, near_best=_NEAR_BEST)
        return corner.rows(points), corner.leaned(points)


def some_leaves(tree: DecisionTree, model: Model, rng: np.random.Generator, count: int) -> list[Path]:
    """Branches whose decisions are all made: every one where there are few, or else the best trials' and drawn ones."""
    every = list(_all(tree, (), count))
    if len(every) <= count:
        return every
    order = np.argsort(-np.nan_to_num(model.worths, nan=-np.inf))[: count // 4]
    paths = {leaf_at(tree, path_of(tree, model.found[i].params)).path for i in order}
    paths |= {drawn(tree, rng) for _ in range(count - len(paths))}
    return sorted(paths, key=str)


def drawn(tree: DecisionTree, rng: np.random.Generator) -> Path:
    """A branch, each decision drawn evenly."""
    path: Path = ()
    while (due := tree.decision(path)) is not None:
        path = (*path, (due[0], due[1].choices[int(rng.integers(len(due[1].choices)))]))
    return path


def _all(tree: DecisionTree, path: Path, count: int) -> Iterable[Path]:
    """Branches after ``path``, a few more than ``count`` at most."""
    due = tree.decision(path)
    if due is None:
        yield path
        return
    found = 0
    for option in due[1].choices:
        for leaf in _all(tree, (*path, (due[0], option)), count):
            yield leaf
            found += 1
            if found > count:
                return
