"""Edits of a space: ranges and options of its dimensions, with what no longer can be taken out. Nothing is judged here.

An edit of options says which go and which come, not which are left: it means the same in a space for other lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tunewright.domain.frozen import Json
from tunewright.domain.space import Choice, Condition, Dimension, Float, Int, Space, StagePlan, among, is_number


@dataclass(frozen=True)
class Edit:
    """What is done to the dimension of one name."""

    name: str
    low: float | None = None
    high: float | None = None
    without: tuple[Json, ...] = ()
    more: tuple[Json, ...] = ()

    def on(self, dimension: Dimension) -> Dimension:
        """The dimension with it; its default stays in."""
        if isinstance(dimension, Float):
            return dimension.model_copy(update=self._ends(dimension.low, dimension.high))
        if isinstance(dimension, Int):
            ends = self._ends(dimension.low, dimension.high)
            return dimension.model_copy(update={name: int(value) for name, value in ends.items()})
        return self._chosen(dimension) if isinstance(dimension, Choice) else dimension

    def _ends(self, low: float, high: float) -> dict[str, float]:
        return {"low": low if self.low is None else self.low, "high": high if self.high is None else self.high}

    def _chosen(self, dimension: Choice) -> Dimension:
        kept = [one for one in dimension.options if not among(one, self.without) or one == dimension.default]
        new = [one for one in self.more if not dimension.holds(one)]
        if isinstance(dimension, StagePlan):
            stages = tuple(dimension.stages[dimension.options.index(one)] for one in kept)
            return dimension.model_copy(update={"options": tuple(kept), "stages": stages})
        numbers = ascending(dimension.options) and all(map(is_number, new))
        options = sorted([*kept, *new]) if numbers else [*kept, *new]
        return dimension.model_copy(update={"options": tuple(options)})


def edited(space: Space, edits: Sequence[Edit]) -> Space:
    """The space with the edits in their order. One of a dimension that the space does not have does nothing."""
    dimensions: list[Dimension] = []
    for dimension in space.dimensions:
        made = dimension
        for edit in edits:
            made = edit.on(made) if edit.name == dimension.name else made
        dimensions.append(made)
    return space.model_copy(update={"dimensions": tuple(_possible(dimensions))})


def ascending(options: Sequence[Json]) -> bool:
    """Whether they are numbers, each larger than the one before."""
    return all(map(is_number, options)) and all(a < b for a, b in pairwise(options))


def _possible(dimensions: Iterable[Dimension]) -> list[Dimension]:
    """Those whose conditions something can still fulfil, without the values that nothing has any more."""
    kept: dict[str, Dimension] = {}
    for dimension in dimensions:
        conditions = [_left(condition, kept.get(condition.name)) for condition in dimension.when]
        if all(condition is not None for condition in conditions):
            kept[dimension.name] = dimension.model_copy(update={"when": tuple(conditions)})
    return list(kept.values())


def _left(condition: Condition, of: Dimension | None) -> Condition | None:
    if of is None:
        return None
    values = tuple(value for value in condition.values if of.holds(value))
    return condition.model_copy(update={"values": values}) if values else None
