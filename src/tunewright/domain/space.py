"""The space a study searches: dimensions over recipe paths, some of them under conditions.

A dimension has a unique ``name`` and the recipe ``path`` it sets. Two dimensions may set the same path
under conditions that exclude each other: ``lr.lora`` and ``lr.full`` both set
``stages.0.optimisation.lr``, each with its own range. The template holds what is not searched.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from tunewright.domain import path as paths
from tunewright.domain.frozen import Frozen, Json
from tunewright.domain.recipe import LEVERS, PLAN_ARROW, Recipe

Assignment = dict[str, Json]
"""Dimension name -> value, for the active dimensions."""


class Condition(Frozen):
    """Holds when the named dimension is active and has one of the values."""

    name: str
    values: tuple[Json, ...]


class _Dimension(Frozen):
    name: str
    path: str
    when: tuple[Condition, ...] = ()
    """All must hold for the dimension to be active. May name earlier dimensions only."""
    why: str = ""
    """Where the range comes from: a paper and section, or a measurement."""

    def active(self, assignment: Mapping[str, Json]) -> bool:
        return all(c.name in assignment and among(assignment[c.name], c.values) for c in self.when)

    def put(self, document: Json, value: Json) -> Json:
        """The recipe's document with this dimension at ``value``.

        Raises:
            KeyError: its path is not there.
        """
        return paths.put(document, self.path, value)

    def read(self, document: Json) -> Json:
        """Its value in a recipe's document.

        Raises:
            KeyError: its path is not there.
        """
        return paths.get(document, self.path)


class Float(_Dimension):
    """A real number in [low, high]."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    default: float

    def holds(self, value: Json) -> bool:
        return is_number(value) and self.low <= value <= self.high

    def says(self) -> str:
        return f"{self.low:g}..{self.high:g}"


class Int(_Dimension):
    """A whole number in [low, high]."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    default: int

    def holds(self, value: Json) -> bool:
        return is_number(value) and value == int(value) and self.low <= value <= self.high

    def says(self) -> str:
        return f"{self.low}..{self.high}"


class Choice(_Dimension):
    """One of a few values."""

    kind: Literal["choice"] = "choice"
    options: tuple[Json, ...] = Field(min_length=1)
    default: Json

    def holds(self, value: Json) -> bool:
        return among(value, self.options)

    def says(self) -> str:
        return "{" + ", ".join(str(option) for option in self.options) + "}"


class StagePlan(Choice):
    """Which stages a recipe has. Its options name their objectives in turn, such as ``cpt > sft``.

    It comes before every dimension that says something of a stage.
    """

    kind: Literal["plan"] = "plan"  # type: ignore[assignment]  # a choice to whoever draws from it
    stages: tuple[Json, ...]
    """The stages of each option as JSON, without what other dimensions set."""

    def put(self, document: Json, value: Json) -> Json:
        return {**document, "stages": copy.deepcopy(self.stages[self.options.index(value)])}

    def read(self, document: Json) -> Json:
        return PLAN_ARROW.join(stage["objective"]["kind"] for stage in document["stages"])


class Simplex(_Dimension):
    """Non-negative weights over ``parts`` that sum to one."""

    kind: Literal["simplex"] = "simplex"
    parts: tuple[str, ...] = Field(min_length=2)
    default: tuple[float, ...]

    def holds(self, value: Json) -> bool:
        return (
            isinstance(value, list | tuple)
            and len(value) == len(self.parts)
            and all(is_number(v) and v >= 0 for v in value)
            and abs(sum(value) - 1) < 1e-6
        )

    def says(self) -> str:
        return "weights over " + ", ".join(self.parts)


Dimension = Annotated[Float | Int | Choice | StagePlan | Simplex, Field(discriminator="kind")]


class Space(Frozen):
    """Dimensions in an order in which conditions only look back, and the template they fill in."""

    template: dict[str, Json]
    """A recipe as JSON without what the dimensions set."""
    dimensions: tuple[Dimension, ...]

    def active(self, assignment: Mapping[str, Json]) -> list[Dimension]:
        """The dimensions whose conditions hold under ``assignment``."""
        return [d for d in self.dimensions if d.active(assignment)]

    def default(self, **fixed: Json) -> Assignment:
        """Every active dimension at its default: the yardstick, trial 0.

        Args:
            fixed: values of dimensions that are not at their default; what depends on them follows.
        """
        assignment: Assignment = {}
        for dimension in self.dimensions:
            if dimension.active(assignment):
                value = fixed.get(dimension.name, dimension.default)
                assignment[dimension.name] = as_json(value)
        return assignment

    def build(self, assignment: Mapping[str, Json]) -> Recipe:
        """The recipe that ``assignment`` stands for. Values of inactive dimensions are not looked at.

        Raises:
            KeyError: an active dimension has no value.
            ValueError: a value does not make a valid recipe.
        """
        document: Json = self.template
        for dimension in self.dimensions:
            if dimension.active(assignment):
                document = dimension.put(document, assignment[dimension.name])
        return Recipe.model_validate(document)

    def assignment(self, recipe: Recipe) -> Assignment:
        """The inverse of ``build``: reads each active dimension's value from the recipe.

        Raises:
            KeyError: an active dimension's path is not in the recipe.
        """
        document = recipe.model_dump(mode="json")
        assignment: Assignment = {}
        for dimension in self.dimensions:
            if dimension.active(assignment):
                assignment[dimension.name] = dimension.read(document)
        return assignment

    def problems(self, recipe: Recipe) -> list[str]:
        """Why the recipe is not in the space, one line each; empty if it is. The seed is free, and so is what keeps
        memory low without changing a result, where it is not searched.
        """
        try:
            assignment = self.assignment(recipe)
        except KeyError as error:
            return [f"{error.args[0]} is not set"]
        wrong = [
            f"{d.path}: {assignment[d.name]} is outside {d.says()}"
            for d in self.active(assignment)
            if not d.holds(assignment[d.name])
        ]
        if wrong:
            return wrong
        try:
            rebuilt = self.build(assignment).reseeded(recipe.seed)
        except ValidationError as error:
            return [str(error.errors()[0]["msg"])]
        return [
            f"{where}: {mine} is not searched here; the study has {theirs}"
            for where, (mine, theirs) in recipe.differences(rebuilt).items()
            if where.partition(".memory.")[2] not in LEVERS
        ]

    def contains(self, recipe: Recipe) -> bool:
        return not self.problems(recipe)


def as_json(value: Json) -> Json:
    """The value as an assignment has it: a tuple of a dimension is a list there."""
    return list(value) if isinstance(value, tuple) else value


def is_number(value: Json) -> bool:
    """Whether it is a finite number; ``True`` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def among(value: Json, options: Iterable[Json]) -> bool:
    """Whether the value is one of the options: ``True`` is not 1, and a list from JSON is the tuple it was."""
    if isinstance(value, str):
        return value in options
    return any(_plain(value) == _plain(option) for option in options)


def _plain(value: Json) -> Json:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return (type(value), value) if isinstance(value, bool) else value
