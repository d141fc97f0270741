"""A brief's limit on the adapter's size, before anything is trained: what surely takes more is not searched, not
proposed and not taken as an edit. What is saved in the end is measured and held against the limit again
(``agents.limit``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tunewright.domain.errors import BudgetError
from tunewright.domain.frozen import Json
from tunewright.domain.proposal import Forecast
from tunewright.domain.recipe import Adapter, Recipe
from tunewright.domain.space import Assignment, Choice, Space, is_number
from tunewright.domain.study import Study
from tunewright.domain.task import TaskSpec
from tunewright.tools.analysis.words import quantity_amount

Bytes = Callable[[Recipe], float | None]
"""What a recipe's adapter takes on disk at least; None if it is not known."""
_QUANTITY = "adapter_bytes"


def adapter_limit(task: TaskSpec | None) -> float | None:
    """The most bytes that an adapter may take; None where the brief does not say."""
    limits = task.constraints if task is not None else ()
    return min((one.value for one in limits if one.quantity == _QUANTITY and one.relation == "<="), default=None)


def too_large(study: Study, forecast: Forecast) -> str:
    """Why a recipe's adapter is larger than the brief allows; nothing if it may fit."""
    limit, least = adapter_limit(study.task), forecast.adapter_bytes
    if limit is None or least is None or least <= limit:
        return ""
    return f"its adapter takes {amount(least)} or more, and the brief allows {amount(limit)}"


def amount(bytes: float) -> str:
    """Such as ``4.9 MB``."""
    return quantity_amount(_QUANTITY, bytes)


def left_out(study: Study, space: Space, kinds: Iterable[str], least: Bytes) -> list[str]:
    """A note on those of ``kinds`` that the space does not have because they are larger than the brief allows."""
    limit, choice = adapter_limit(study.task), _choice(space)
    if limit is None or choice is None:
        return []
    default = space.build(space.default())
    found = []
    for kind in kinds:
        stages = tuple(stage.model_copy(update={"adapter": Adapter(kind=kind)}) for stage in default.stages)
        if kind not in choice.options and (least(Recipe(seed=default.seed, stages=stages)) or 0) > limit:
            found.append(kind)
    if not found:
        return []
    return [f"{', '.join(found)} {'is' if len(found) == 1 else 'are'} not searched: larger than {amount(limit)}"]


def fitting(space: Space, limit: float, bytes: Bytes) -> Space:
    """The space without kinds of adapter and settings that surely take more than the limit; a default that does gives
    way to the nearest that does not.

    Raises:
        BudgetError: nothing that is searched fits; the message says what the smallest takes.
    """
    trimmed = _Trimmed(space, limit, bytes)
    kinds = trimmed.kinds()
    space = trimmed.without_kinds(kinds)
    return _Trimmed(space, limit, bytes).settled(kinds)


class _Trimmed:
    """One pass over a space."""

    def __init__(self, space: Space, limit: float, bytes: Bytes) -> None:
        self.space, self.limit, self.bytes = space, limit, bytes
        self.own = [
            one
            for one in space.dimensions
            if isinstance(one, Choice) and ".adapter." in one.path and one.name != "adapter"
        ]
        """Settings of adapters. Those that are no choice among a few values do not change a size."""

    def least(self, assignment: Assignment) -> float:
        """Of the adapter. What compression leaves is not known before, so it counts as nothing."""
        return self.bytes(self.space.build(assignment)) or 0.0

    def smallest(self, **fixed: Json) -> Assignment:
        """The recipe with the smallest adapter among those with these values: one setting after the other."""
        chosen = dict(fixed)
        for dimension in self.own:
            if dimension.name not in fixed and dimension.active(self.space.default(**chosen)):
                chosen[dimension.name] = min(
                    dimension.options, key=lambda one: self.least(self.space.default(**{**chosen, dimension.name: one}))
                )
        return self.space.default(**chosen)

    def kinds(self) -> list[Json]:
        """The kinds of which some recipe fits, the default's first; none where there is no choice among kinds.

        Raises:
            BudgetError: there is no such recipe.
        """
        choice = _choice(self.space)
        options: list[Json] = list(choice.options) if choice is not None else []
        sizes = {kind: self.least(self.smallest(adapter=kind)) for kind in options}
        sizes = sizes or {"the adapter": self.least(self.smallest())}
        fitting = [kind for kind, size in sizes.items() if size <= self.limit]
        if not fitting:
            kind, size = min(sizes.items(), key=lambda one: one[1])
            raise BudgetError(
                f"no adapter that is searched fits into {amount(self.limit)}: the smallest, {kind}, takes "
                f"{amount(size)} or more",
                f"say for example: adapter under {amount(1.5 * size)}",
            )
        if choice is None:
            return []
        return sorted(fitting, key=lambda kind: kind != choice.default)

    def without_kinds(self, kinds: list[Json]) -> Space:
        """The space with these kinds alone."""
        from tunewright.agents.planner.edit import Edit, edited

        choice = _choice(self.space)
        if choice is None or len(kinds) == len(choice.options):
            return self.space
        first = choice.model_copy(update={"default": kinds[0]})
        dimensions = tuple(first if one is choice else one for one in self.space.dimensions)
        gone = tuple(one for one in choice.options if one not in kinds)
        return edited(self.space.model_copy(update={"dimensions": dimensions}), [Edit("adapter", without=gone)])

    def settled(self, kinds: list[Json]) -> Space:
        """The space without options of settings that fit with nothing, and with a default that fits."""
        defaults = self._default()
        dimensions = {one.name: one for one in self.space.dimensions}
        for dimension in self.own:
            default = defaults[dimension.name]
            kept = [one for one in dimension.options if one == default or self._somewhere(dimension, one, kinds)]
            update = {"options": tuple(kept), "default": default}
            dimensions[dimension.name] = dimension.model_copy(update=update)
        return self.space.model_copy(update={"dimensions": tuple(dimensions.values())})

    def _somewhere(self, dimension: Choice, option: Json, kinds: list[Json]) -> bool:
        """Whether a recipe with the option fits, of any of the kinds that have the setting."""
        for kind in kinds or [None]:
            chosen = {dimension.name: option} | ({"adapter": kind} if kind is not None else {})
            if dimension.active(self.space.default(**chosen)) and self.least(self.smallest(**chosen)) <= self.limit:
                return True
        return False

    def _default(self) -> dict[str, Json]:
        """Setting -> its default: where the default recipe is too large, numbers give way before words, one setting
        after the other, each no further than it has to."""
        chosen = {one.name: one.default for one in self.own}
        for dimension in sorted(self.own, key=lambda one: not all(map(is_number, one.options))):
            sizes = [
                (one, self.least(self.space.default(**{**chosen, dimension.name: one}))) for one in dimension.options
            ]
            if self.least(self.space.default(**chosen)) <= self.limit:
                break
            fits = [one for one in sizes if one[1] <= self.limit]
            best = max(fits, key=lambda one: one[1]) if fits else min(sizes, key=lambda one: one[1])
            chosen[dimension.name] = best[0]
        return chosen


def _choice(space: Space) -> Choice | None:
    """Of adapters; None where there is only one."""
    return next((one for one in space.dimensions if one.name == "adapter" and isinstance(one, Choice)), None)
