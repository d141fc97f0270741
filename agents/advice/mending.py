"""Edits of a recipe that miss the space by little, put right where that leaves no doubt of what was meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tunewright.domain.frozen import Json
from tunewright.domain.space import Assignment, Choice, Dimension, Simplex, Space, is_number

NEAR = 3.0
"""Times a bound of what is searched in logarithms: within it, the bound was meant."""
NEAR_SHARE = 0.25
"""Of the width of any other range, likewise."""


@dataclass(frozen=True)
class Mended:
    """Edits, and what was done to them, a line each."""

    edits: dict[str, Json]
    notes: tuple[str, ...] = ()


def mended(space: Space, kept: Assignment, edits: Mapping[str, Json]) -> Mended:
    """The edits with numbers written as numbers, those just outside a range at its bound, and without those that have
    no effect under the others. What cannot be mended is left as it is.

    Args:
        kept: what the recipe that is edited has, dimension by dimension.
    """
    found, notes = dict(edits), list[str]()
    assignment: Assignment = {}
    used: set[str] = set()
    for dimension in space.dimensions:
        if not dimension.active(assignment):
            continue
        if dimension.path in found:
            used.add(dimension.path)
            value = _number(dimension, found[dimension.path])
            near = _nearest(dimension, value)
            if near is not value:
                notes.append(f"{dimension.path}: {value:g} is put to {near:g}, the end of {dimension.says()}")
            found[dimension.path] = near
            assignment[dimension.name] = near
        else:
            assignment[dimension.name] = kept.get(dimension.name, dimension.default)
    searched = {dimension.path for dimension in space.dimensions}
    idle = [path for path in found if path in searched and path not in used]
    if len(idle) < len(found):  # else nothing would be left of it
        for path in idle:
            del found[path]
            notes.append(f"{path} is left out: it has no effect under the other settings")
    return Mended(found, tuple(notes))


def _number(dimension: Dimension, value: Json) -> Json:
    """``"3e-4"`` is as clear as the number."""
    if not isinstance(value, str) or dimension.holds(value):
        return value
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        if math.isfinite(number) and (not isinstance(dimension, Choice | Simplex) or dimension.holds(number)):
            return number
    return value


def _nearest(dimension: Dimension, value: Json) -> Json:
    """The bound that a number is just outside of; else the value itself."""
    if isinstance(dimension, Choice | Simplex) or not is_number(value) or dimension.holds(value):
        return value
    bound = dimension.low if value < dimension.low else dimension.high
    if dimension.low <= value <= dimension.high:
        return value  # no whole number
    if dimension.log:
        near = value > 0 and max(value / bound, bound / value) <= NEAR
    else:
        near = abs(value - bound) <= NEAR_SHARE * (dimension.high - dimension.low)
    return bound if near else value
