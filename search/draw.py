"""Points of a space without any library: random ones, every one of a finite space, one nobody proposed yet."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator
from itertools import islice

from pydantic import ValidationError

from tunewright.domain.frozen import Json
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Assignment, Choice, Dimension, Float, Int, Space

RANDOM_TRIES = 100
EVERY_AT_MOST = 5_000
"""Points of a finite space that are walked to find what is left; about 0.5 s."""


def draw(space: Space, rng: random.Random) -> Assignment:
    """A random point: uniform in each active dimension, on a log scale where it has one."""
    assignment: Assignment = {}
    for dimension in space.dimensions:
        if dimension.active(assignment):
            assignment[dimension.name] = _value(dimension, rng)
    return assignment


def every(space: Space) -> Iterator[Assignment]:
    """Every point of a finite space, the first options first; nothing if it is not finite."""
    if all(_values(dimension) is not None for dimension in space.dimensions):
        yield from _extend(space, 0, {})


def unproposed(space: Space, seed: int, proposed: Collection[str], rng: random.Random) -> Recipe | None:
    """A random recipe whose fingerprint is not in ``proposed``, or None if none was found.

    In a finite space of up to ``EVERY_AT_MOST`` points it is found if there is one.
    """
    for _ in range(RANDOM_TRIES):
        recipe = recipe_of(space, draw(space, rng), seed)
        if recipe is not None and recipe.fingerprint not in proposed:
            return recipe
    built = (recipe_of(space, point, seed) for point in islice(every(space), EVERY_AT_MOST))
    left = [recipe for recipe in built if recipe is not None and recipe.fingerprint not in proposed]
    return rng.choice(left) if left else None


def recipe_of(space: Space, point: Assignment, seed: int) -> Recipe | None:
    """The recipe at ``point``, or None where its values do not go together."""
    try:
        return space.build(point).reseeded(seed)
    except ValidationError:
        return None


def _value(dimension: Dimension, rng: random.Random) -> Json:
    match dimension:
        case Float() if dimension.log:
            drawn = math.exp(rng.uniform(math.log(dimension.low), math.log(dimension.high)))
            return min(max(drawn, dimension.low), dimension.high)
        case Float():
            return rng.uniform(dimension.low, dimension.high)
        case Int() if dimension.log:
            # Half a unit beyond both ends, so that the ends are as likely as their neighbours.
            drawn = math.exp(rng.uniform(math.log(max(dimension.low - 0.5, 0.5)), math.log(dimension.high + 0.5)))
            return min(max(round(drawn), dimension.low), dimension.high)
        case Int():
            return rng.randint(dimension.low, dimension.high)
        case Choice():
            return _plain(rng.choice(dimension.options))
        case _:
            parts = [rng.expovariate(1.0) for _ in dimension.parts]
            return [part / sum(parts) for part in parts]


def _plain(option: Json) -> Json:
    """As a recipe has it: JSON knows no tuples."""
    return list(option) if isinstance(option, tuple) else option


def _values(dimension: Dimension) -> list[Json] | None:
    match dimension:
        case Choice():
            return [_plain(option) for option in dimension.options]
        case Int():
            return list(range(dimension.low, dimension.high + 1))
        case Float() if dimension.low == dimension.high:
            return [dimension.low]
        case _:
            return None


def _extend(space: Space, index: int, assignment: Assignment) -> Iterator[Assignment]:
    if index == len(space.dimensions):
        yield dict(assignment)
        return
    dimension = space.dimensions[index]
    if not dimension.active(assignment):
        yield from _extend(space, index + 1, assignment)
        return
    for value in _values(dimension) or ():
        yield from _extend(space, index + 1, {**assignment, dimension.name: value})
