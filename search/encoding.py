"""Settings as columns of numbers, so that recipes of every kind lie in one space.

A number becomes its place between the ends of its range, on a log scale where it has one; a choice among ascending
numbers the place of its index; any other choice a code. What a recipe does not have is in the middle of its column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.search.kernel import Floats

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MIDDLE = 0.5
"""Of a numeric column: where a recipe has no such setting."""
ABSENT = -1.0
"""Code of a nominal column: likewise."""
_SEEN = 1024
"""Lists of choices that are kept in mind: every trial of a study has the same ones."""


def ordered(distribution: BaseDistribution) -> bool:
    """Whether its values lie on a line: numbers, and choices among ascending numbers."""
    choices = getattr(distribution, "choices", None)
    return choices is None or _ascending(choices, tuple(map(type, choices)))


@lru_cache(_SEEN)
def _ascending(choices: tuple[Any, ...], types: tuple[type, ...]) -> bool:
    """Whether they are numbers, each above the one before.

    Args:
        types: of the choices, since ``True`` would be taken for the 1 that was asked about before.
    """
    numeric = all(issubclass(one, int | float) and one is not bool for one in types)
    return numeric and len(choices) > 1 and all(a < b for a, b in pairwise(choices))


def place(distribution: BaseDistribution, value: Any) -> float:
    """Where ``value`` lies: from 0 to 1 for what is ordered, else its code."""
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        index = next((i for i, c in enumerate(choices) if c == value and type(c) is type(value)), 0)
        return index / (len(choices) - 1) if ordered(distribution) else float(index)
    low, high = float(distribution.low), float(distribution.high)
    if high <= low:
        return MIDDLE
    if distribution.log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (float(value) - low) / (high - low)


def value_at(distribution: BaseDistribution, at: float) -> Any:
    """The inverse of ``place``: the nearest value that the distribution has."""
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        index = round(at * (len(choices) - 1)) if ordered(distribution) else round(at)
        return choices[min(max(index, 0), len(choices) - 1)]
    at = min(max(at, 0.0), 1.0)
    low, high, log = distribution.low, distribution.high, distribution.log
    found = math.exp(math.log(low) + at * (math.log(high) - math.log(low))) if log else low + at * (high - low)
    step = getattr(distribution, "step", None)
    if step:
        found = low + round((found - low) / step) * step
    found = min(max(found, low), high)
    return round(found) if isinstance(low, int) and isinstance(high, int) else float(found)


@dataclass(frozen=True)
class Frame:
    """The columns of a space: one a coordinate, the numeric ones first."""

    numeric: tuple[str, ...]
    nominal: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.numeric) + len(self.nominal)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {name: index for index, name in enumerate((*self.numeric, *self.nominal))}

    def rows(self, count: int) -> Floats:
        """(count, width): recipes that have no setting at all."""
        found = np.full((count, self.width), MIDDLE)
        found[:, len(self.numeric) :] = ABSENT
        return found

    def column(self, coordinate: str) -> int | None:
        """Where a coordinate is; None if it has one value only."""
        return self._columns.get(coordinate)

    def row(
        self, params: Mapping[str, Any], spaces: Mapping[str, BaseDistribution], named: Mapping[str, str]
    ) -> Floats:
        """(width,) of one recipe.

        Args:
            spaces: distribution of each parameter.
            named: parameter -> coordinate.
        """
        found: Floats = self.rows(1)[0]
        for name, value in params.items():
            column = self.column(named[name])
            if column is not None and not spaces[name].single():
                found[column] = place(spaces[name], value)
        return found


class Rows:
    """The columns of everything that is in one of some spaces, and the rows of recipes; each is worked out once.

    What has one value has no column: it says no more than that the recipe is of that kind, which its kind says already.
    A coordinate that is ordered for one parameter and not for another is nominal.

    Args:
        coordinate: of a parameter.
    """

    def __init__(self, coordinate: Callable[[str], str]) -> None:
        self._coordinate = coordinate
        self._ordered: dict[str, bool] = {}
        self._known: dict[int, tuple[Mapping[str, Any], Floats]] = {}
        """By identity, which holds as long as the parameters are kept here too."""
        self.named: dict[str, str] = {}
        """Parameter -> coordinate."""
        self.frame = Frame((), ())

    def widen(self, spaces: Iterable[Mapping[str, BaseDistribution]]) -> None:
        """Takes what is in these spaces in."""
        for space in spaces:
            for name, distribution in space.items():
                if name not in self.named:
                    self.named[name] = self._coordinate(name)
                if not distribution.single():
                    at = self.named[name]
                    self._ordered[at] = self._ordered.get(at, True) and ordered(distribution)
        frame = Frame(
            tuple(sorted(name for name, yes in self._ordered.items() if yes)),
            tuple(sorted(name for name, yes in self._ordered.items() if not yes)),
        )
        if frame != self.frame:
            self.frame, self._known = frame, {}

    def of(self, recipes: Sequence[tuple[Mapping[str, Any], Mapping[str, BaseDistribution]]]) -> Floats:
        """(N, width) of recipes, each the parameters and their distributions, which are not changed later."""
        self.widen(spaces for params, spaces in recipes if id(params) not in self._known)
        for params, spaces in recipes:
            if id(params) not in self._known:
                self._known[id(params)] = params, self.frame.row(params, spaces, self.named)
        return np.array([self._known[id(params)][1] for params, _ in recipes]).reshape(-1, self.frame.width)
