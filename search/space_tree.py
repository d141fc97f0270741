"""The tree of decisions of a study's space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from tunewright.domain.lineage import decisions
from tunewright.domain.space import Assignment, Choice, Space, as_json
from tunewright.search import distributions
from tunewright.search.decision import Path
from tunewright.search.pace import Pace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution, CategoricalDistribution

_LENGTH = "optimisation.epochs"
"""End of the path of a dimension that says how long a stage trains."""
_PATHS = 4096
"""Branches whose settings are kept in mind."""


class SpaceTree:
    """A ``DecisionTree`` over the dimensions of a space, in their order.

    Args:
        space: whose dimensions under a condition name choices only, as conditions over options do.
        rungs: passes over the data at the plan's rungs; empty where they are none, or steps.
    """

    def __init__(self, space: Space, rungs: Sequence[float] = ()) -> None:
        self._space = space
        self.pace = _pace(space, rungs)
        self._decisions = decisions(space)
        self.decision = lru_cache(_PATHS)(self._decision)
        self.rest = lru_cache(_PATHS)(self._rest)
        self._owners = {name: d for d in space.dimensions for name in distributions.distributions(d)}

    @property
    def decisions(self) -> tuple[str, ...]:
        """Names of the dimensions that are decisions."""
        return tuple(self._decisions)

    def parameters(self) -> Mapping[str, BaseDistribution]:
        """See ``DecisionTree.parameters``."""
        return self._parameters

    def default(self, name: str) -> Any:
        """See ``DecisionTree.default``."""
        return self._defaults.get(name)

    def coordinate(self, name: str) -> str:
        """See ``DecisionTree.coordinate``: what sets the same path of a recipe."""
        dimension = self._owners.get(name)
        if dimension is None:
            return name
        return dimension.path + name[len(dimension.name) :]  # a part of a simplex keeps its own

    def _decision(self, path: Path) -> tuple[str, CategoricalDistribution] | None:
        made = self._made(path)
        for name, dimension in self._decisions.items():
            if name not in made and dimension.active(made):
                found: Any = distributions.distributions(dimension)[name]
                return name, found
        return None

    def _rest(self, path: Path) -> Mapping[str, BaseDistribution]:
        made = self._made(path)
        free = [d for d in self._space.dimensions if d.name not in self._decisions and d.active(made)]
        return {name: found for d in free for name, found in distributions.distributions(d).items()}

    def _made(self, path: Path) -> Assignment:
        return {name: distributions.option(self._decisions[name], spelt) for name, spelt in path}

    @cached_property
    def _parameters(self) -> dict[str, BaseDistribution]:
        return {name: found for d in self._space.dimensions for name, found in distributions.distributions(d).items()}

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for dimension in self._space.dimensions:
            found.update(distributions.params(dimension, as_json(dimension.default)))
        return found


def _pace(space: Space, rungs: Sequence[float]) -> Pace | None:
    if not rungs:
        return None
    lengths = [d for d in space.dimensions if isinstance(d, Choice) and d.path.endswith(_LENGTH)]
    amounts = [*rungs, *(float(option) for d in lengths for option in d.options if isinstance(option, int | float))]
    return Pace(min(amounts), max(amounts), frozenset(d.name for d in lengths), tuple(rungs))
