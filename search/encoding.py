"""Settings as columns of numbers, so that recipes of every kind lie in one space.

A number becomes its place between the ends of its range, on a log scale where it has one; a choice among ascending
numbers the place of its index; any other choice a code. What a recipe does not have is in the middle of its column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


def ordered(distribution: BaseDistribution) -> bool:
    """Whether its values lie on a line: numbers, and choices among ascending numbers."""
    choices = getattr(distribution, "choices", None)
    if choices is None:
        return True
    numeric = all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
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

    def rows(self, count: int) -> Floats:
        """(count, width): recipes that have no setting at all."""
        found = np.full((count, self.width), MIDDLE)
        found[:, len(self.numeric) :] = ABSENT
        return found

    def column(self, coordinate: str) -> int | None:
        """Where a coordinate is; None if it has one value only."""
        if coordinate in self.numeric:
            return self.numeric.index(coordinate)
        return len(self.numeric) + self.nominal.index(coordinate) if coordinate in self.nominal else None

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


def frame_of(spaces: Sequence[Mapping[str, BaseDistribution]], named: Mapping[str, str]) -> Frame:
    """The columns of everything that is in one of ``spaces`` and has more than one value.

    What has one value says no more than that the recipe is of that kind, which its kind says already. A coordinate that
    is ordered for one parameter and not for another is nominal.
    """
    numeric: dict[str, bool] = {}
    for space in spaces:
        for name, distribution in space.items():
            if distribution.single():
                continue
            coordinate = named[name]
            numeric[coordinate] = numeric.get(coordinate, True) and ordered(distribution)
    return Frame(
        tuple(sorted(name for name, yes in numeric.items() if yes)),
        tuple(sorted(name for name, yes in numeric.items() if not yes)),
    )
