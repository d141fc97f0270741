"""What of a recipe can be turned, and how far: edits inside the space, for whoever proposes an experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tunewright.domain.frozen import Json
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Dimension, Float, Int, Simplex, Space, StagePlan, is_number

LR = (".optimisation.lr",)
LENGTH = (".optimisation.epochs", ".optimisation.steps")
RANK = (".adapter.r",)
_PARTS = 3
"""Of a number's range."""
BATCH = (".optimisation.batch_size",)
WEIGHTS = (".data.weights",)


@dataclass(frozen=True)
class Lever:
    """A searched setting of a recipe."""

    path: str
    dimension: Dimension
    value: Json

    def times(self, factor: float) -> Json | None:
        """About so many times as much: inside the range, and another value than it has; None if it cannot be moved."""
        dimension, value = self.dimension, self.value
        if not is_number(value):
            return None
        aim = float(value) * factor
        if isinstance(dimension, Float | Int):
            found = min(float(dimension.high), max(float(dimension.low), aim))
            moved: Json = round(found) if isinstance(dimension, Int) else float(f"{found:.4g}")
            # Rounding may leave the range by a hair.
            moved = moved if dimension.holds(moved) else found
            return moved if abs(float(moved) - float(value)) > 1e-3 * abs(float(value)) else None
        if isinstance(dimension, Choice) and not isinstance(dimension, StagePlan):
            return self._option(aim, up=factor > 1)
        return None

    def _option(self, aim: float, *, up: bool) -> Json | None:
        """The option nearest to ``aim`` among those on its side."""
        assert isinstance(self.dimension, Choice)
        here = float(self.value)
        side = [one for one in self.dimension.options if is_number(one) and (one > here if up else one < here)]
        return min(side, key=lambda one: abs(float(one) - aim), default=None)

    def toward(self, part: int, share: float) -> Json | None:
        """Weights with one part's raised to about ``share`` times what it was; None if there is nothing to shift."""
        if not isinstance(self.dimension, Simplex) or not isinstance(self.value, list | tuple):
            return None
        weights = [float(one) for one in self.value]
        if not 0 <= part < len(weights) or len(weights) < 2:
            return None
        weights[part] = max(weights[part], 0.5 / len(weights)) * share
        total = sum(weights)
        return [round(one / total, 4) for one in weights[:-1]] + [
            round(1 - sum(round(one / total, 4) for one in weights[:-1]), 4)
        ]


def levers(space: Space, recipe: Recipe) -> Mapping[str, Lever]:
    """Path -> searched setting, for those that are active in the recipe and hold their value."""
    assignment = space.assignment(recipe)
    return {
        one.path: Lever(one.path, one, assignment[one.name])
        for one in space.active(assignment)
        if one.name in assignment and one.holds(assignment[one.name])
    }


def part(lever: Lever, value: Json) -> Json:
    """The option that a value is, or which part of its range a number lies in: what is held against each other."""
    dimension = lever.dimension
    if isinstance(dimension, Choice) or not isinstance(dimension, Float | Int) or not is_number(value):
        return str(value)
    low, high, at = float(dimension.low), float(dimension.high), float(value)
    if dimension.log and min(low, at) > 0:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return min(_PARTS - 1, int(_PARTS * (at - low) / (high - low))) if high > low else 0


def lever(space: Space, recipe: Recipe, endings: tuple[str, ...]) -> Lever | None:
    """The setting whose path ends so, of the last stage that has one; None if it is not searched."""
    found = [one for path, one in levers(space, recipe).items() if path.endswith(endings)]
    return found[-1] if found else None
