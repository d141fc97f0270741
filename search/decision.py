"""A space as a tree: which decision comes next, and what is left to set once all are made.

A decision is a choice that others depend on, or one among things that have no order, such as kinds of adapter. It is
made before the rest, because what else there is to set hangs on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from optuna.distributions import CategoricalDistribution

from tunewright.search.pace import Pace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Path = tuple[tuple[str, Any], ...]
"""Decisions made so far, each with its option, in their order."""


class DecisionTree(Protocol):
    """How the decisions of a space follow each other. Options are parameter values as Optuna has them."""

    @property
    def pace(self) -> Pace | None:
        """How far rungs and ends are; None where nothing is known of it."""

    def decision(self, path: Path) -> tuple[str, CategoricalDistribution] | None:
        """The next decision after ``path`` and its options; None if all are made."""

    def rest(self, path: Path) -> Mapping[str, BaseDistribution]:
        """What is set beside the decisions of a whole ``path``."""

    def parameters(self) -> Mapping[str, BaseDistribution]:
        """Every parameter there is, the decisions among them."""

    def default(self, name: str) -> Any:
        """Where the search of a parameter begins; None if nothing is known."""

    def coordinate(self, name: str) -> str:
        """Parameters that mean the same under different decisions, such as each adapter's learning rate, have one
        coordinate: siblings learn of each other along it."""


class ObservedTree:
    """The tree as past trials show it, for a study whose objective asks as it goes.

    Args:
        decisions: names of categorical parameters, in the order in which the objective asks for them.
        trials: of the study.
        shared: parameter -> coordinate, for those that mean the same under different decisions.
        pace: see ``DecisionTree.pace``.
    """

    def __init__(
        self,
        decisions: Sequence[str],
        trials: Sequence[FrozenTrial],
        shared: Mapping[str, str] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._decisions = tuple(decisions)
        self._trials = trials
        self._shared = shared or {}
        self.pace = pace

    def decision(self, path: Path) -> tuple[str, CategoricalDistribution] | None:
        """See ``DecisionTree.decision``. What no trial was asked after ``path`` is not known."""
        made = {name for name, _ in path}
        for name in self._decisions:
            if name in made:
                continue
            found = next((t.distributions[name] for t in self._after(path) if name in t.distributions), None)
            if isinstance(found, CategoricalDistribution):
                return name, found
        return None

    def rest(self, path: Path) -> Mapping[str, BaseDistribution]:
        """See ``DecisionTree.rest``: what the newest trial with these decisions was asked."""
        newest = next(iter(reversed(self._after(path))), None)
        found = {} if newest is None else newest.distributions
        return {name: d for name, d in found.items() if name not in self._decisions}

    def parameters(self) -> Mapping[str, BaseDistribution]:
        """See ``DecisionTree.parameters``: those that a trial was asked."""
        return {name: d for t in self._trials for name, d in t.distributions.items()}

    def default(self, name: str) -> Any:
        """See ``DecisionTree.default``: nothing is known."""
        return None

    def coordinate(self, name: str) -> str:
        """See ``DecisionTree.coordinate``."""
        return self._shared.get(name, name)

    def _after(self, path: Path) -> list[FrozenTrial]:
        return [t for t in self._trials if all(t.params.get(name, _NOTHING) == value for name, value in path)]


_NOTHING = object()


@dataclass(frozen=True)
class Leaf:
    """A branch whose decisions are all made."""

    path: Path
    decided: Mapping[str, BaseDistribution]
    """Of the decisions."""
    spaces: Mapping[str, BaseDistribution]
    """Of what is set beside them."""


def leaf_at(tree: DecisionTree, path: Path) -> Leaf:
    """The leaf that ``path`` leads to; decisions that it leaves open are at their default, or else the first option."""
    decided: dict[str, BaseDistribution] = {}
    made: Path = ()
    given = dict(path)
    while (due := tree.decision(made)) is not None:
        name, distribution = due
        option = given[name] if name in given else tree.default(name)
        decided[name] = distribution
        made = (*made, (name, option if option in distribution.choices else distribution.choices[0]))
    return Leaf(made, decided, tree.rest(made))


def path_of(tree: DecisionTree, params: Mapping[str, Any]) -> Path:
    """The decisions that ``params`` made, as far as they go."""
    path: Path = ()
    while (due := tree.decision(path)) is not None and due[0] in params:
        path = (*path, (due[0], params[due[0]]))
    return path
