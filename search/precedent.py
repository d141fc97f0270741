"""What earlier studies found, put into this study's space: observations that are believed less, and ever less."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.domain.frozen import Json
from tunewright.domain.precedent import Kin
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Assignment, Choice, Dimension, Float, Int, Space, as_json, is_number
from tunewright.search import distributions
from tunewright.search.evidence import Evidence
from tunewright.search.pace import Pace


def earlier(kin: Sequence[Kin], space: Space, pace: Pace | None = None) -> list[Evidence]:
    """The recipes of earlier studies that have a place in ``space``, with what they gained over their defaults.

    Numbers are brought to the nearest that the space has; a recipe with a method that is not searched is left out.

    Args:
        pace: where the ends of recipes lie.
    """
    found = []
    for origin, one in enumerate(kin, 1):
        for trial in one.precedent.found:
            point = nearest(trial.recipe, space)
            if point is not None:
                params, spaces = distributions.encode(point, space)
                end = pace.at_end(params) if pace is not None else 1.0
                found.append(Evidence(-1, params, spaces, ((end, trial.gain),), None, None, False, origin, end))
    return found


def nearest(recipe: Recipe, space: Space) -> Assignment | None:
    """The point of ``space`` nearest to the recipe, or None where it is of another kind."""
    document = recipe.model_dump(mode="json")
    point: Assignment = {}
    for dimension in space.dimensions:
        if not dimension.active(point):
            continue
        try:
            value = dimension.read(document)
        except (KeyError, IndexError, TypeError):
            value = None
        fitting = _fitting(dimension, value)
        if fitting is None:
            return None
        point[dimension.name] = fitting
    return point


def _fitting(dimension: Dimension, value: Json) -> Json:
    """The value itself, the nearest that the dimension has, or its default where the recipe says nothing; None for a
    choice that the space does not have."""
    if value is None:
        return as_json(dimension.default)
    if dimension.holds(value):
        return value
    number = is_number(value)
    match dimension:
        case Float() if number:
            return min(max(float(value), dimension.low), dimension.high)
        case Int() if number:
            return min(max(round(value), dimension.low), dimension.high)
        case Choice() if number and all(map(is_number, dimension.options)):
            return min(dimension.options, key=lambda option: abs(option - value))
        case Choice():
            return None
        case _:  # weights over other sources say nothing of these
            return as_json(dimension.default)
