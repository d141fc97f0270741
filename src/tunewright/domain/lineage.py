"""Where a recipe stands in a study: the branch of decisions that it lies on, and the trials that it descends from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tunewright.domain.frozen import Json
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Dimension, Space, is_number
from tunewright.domain.study import Study

_KINDS = ("kind", "placement", "carry")
"""Settings that make another method of a recipe; what else has no order, such as a schedule, is a setting of it."""

Branch = tuple[tuple[Choice, Json], ...]
"""Decisions in their order, each with what was decided."""


def decisions(space: Space) -> dict[str, Choice]:
    """The dimensions that are decided before the rest: choices that others depend on, or among methods."""
    asked = {condition.name for dimension in space.dimensions for condition in dimension.when}
    return {d.name: d for d in space.dimensions if isinstance(d, Choice) and _decides(d, asked)}


def branch(space: Space, recipe: Recipe) -> Branch | None:
    """What was decided for a recipe, without decisions that have one option; None where it is outside the space."""
    try:
        assignment = space.assignment(recipe)
    except KeyError:
        return None
    found = decisions(space)
    active: list[Dimension] = space.active(assignment)
    return tuple((found[d.name], assignment[d.name]) for d in active if d.name in found and len(_options(d)) > 1)


def ancestors(study: Study, trial: str) -> tuple[str, ...]:
    """The trials that a trial descends from, its parent first; its depth is how many they are."""
    found: list[str] = []
    here = study.proposals[trial].idea.parent
    while here is not None and here in study.proposals and here not in (trial, *found):
        found.append(here)
        here = study.proposals[here].idea.parent
    return tuple(found)


def _decides(choice: Choice, asked: set[str]) -> bool:
    """Whether others depend on it, or its options have no order."""
    if choice.name in asked:
        return True
    return len(choice.options) > 1 and not _ordered(choice.options) and choice.path.endswith(_KINDS)


def _ordered(options: Sequence[Json]) -> bool:
    return all(map(is_number, options)) and all(a < b for a, b in pairwise(options))


def _options(dimension: Dimension) -> tuple[Json, ...]:
    return dimension.options if isinstance(dimension, Choice) else ()
