"""A brief's limits on an adapter's size, before anything is trained: what surely takes more is not searched, not
proposed and not taken as an edit. What is trained and saved in the end is measured and held against the limits again
(``agents.limit``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from tunewright.domain.errors import BudgetError
from tunewright.domain.frozen import Json
from tunewright.domain.proposal import Forecast
from tunewright.domain.recipe import Adapter, Recipe
from tunewright.domain.space import Assignment, Choice, Space, is_number
from tunewright.domain.study import Study
from tunewright.domain.task import TaskSpec
from tunewright.tools.analysis.words import quantity_amount

Pricer = Callable[[Recipe], Forecast]
_SIZES = {
    "adapter_bytes": ("{}", "takes {} or more", "adapter under {}"),
    "trainable_parameters": ("{} trained parameters", "trains {} parameters", "at most {} trainable parameters"),
}
"""Quantity that a forecast has by the same name -> how its limit is called, what an adapter does, and how a brief may
say it."""


@dataclass(frozen=True)
class SizeLimits:
    """What the brief allows an adapter.

    Args:
        most: quantity of ``_SIZES`` -> the most of it.
    """

    most: Mapping[str, float]

    @classmethod
    def of(cls, task: TaskSpec | None) -> Self:
        """The strictest of each."""
        most: dict[str, float] = {}
        for one in task.constraints if task is not None else ():
            if one.quantity in _SIZES and one.relation == "<=":
                most[one.quantity] = min(one.value, most.get(one.quantity, one.value))
        return cls(most)

    def __bool__(self) -> bool:
        return bool(self.most)

    def __str__(self) -> str:
        """Such as ``4.9 MB``."""
        return " and ".join(_words(0, quantity, value) for quantity, value in self.most.items())

    def share(self, forecast: Forecast) -> float:
        """How much of what is allowed an adapter takes, of what it takes most of; what is not known before, such as
        what compression leaves, counts as nothing.
        """
        return max((self._share(quantity, forecast) for quantity in self.most), default=0.0)

    def worst(self, forecast: Forecast) -> str:
        """The quantity of which an adapter takes the largest share."""
        return max(self.most, key=lambda quantity: self._share(quantity, forecast))

    def _share(self, quantity: str, forecast: Forecast) -> float:
        return (getattr(forecast, quantity) or 0.0) / max(self.most[quantity], 1e-9)


def too_large(study: Study, forecast: Forecast) -> str:
    """Why a recipe's adapter is larger than the brief allows; nothing if it may fit."""
    limits = SizeLimits.of(study.task)
    if limits.share(forecast) <= 1:
        return ""
    quantity = limits.worst(forecast)
    takes = _words(1, quantity, getattr(forecast, quantity))
    return f"its adapter {takes}, and the brief allows {quantity_amount(quantity, limits.most[quantity])}"


def _words(way: int, quantity: str, value: float) -> str:
    return _SIZES[quantity][way].format(quantity_amount(quantity, value))


def left_out(study: Study, space: Space, kinds: Iterable[str], price: Pricer) -> list[str]:
    """A note on those of ``kinds`` that the space does not have because they are larger than the brief allows."""
    limits, choice = SizeLimits.of(study.task), _choice(space)
    if not limits or choice is None:
        return []
    default = space.build(space.default())
    found = []
    for kind in kinds:
        stages = tuple(stage.model_copy(update={"adapter": Adapter(kind=kind)}) for stage in default.stages)
        if kind not in choice.options and limits.share(price(Recipe(seed=default.seed, stages=stages))) > 1:
            found.append(kind)
    if not found:
        return []
    return [f"{', '.join(found)} {'is' if len(found) == 1 else 'are'} not searched: larger than {limits}"]


def fitting(space: Space, limits: SizeLimits, price: Pricer) -> Space:
    """The space without kinds of adapter and settings that surely take more than the limits; a default that does gives
    way to the nearest that does not.

    Raises:
        BudgetError: nothing that is searched fits; the message says what the smallest takes.
    """
    trimmed = _Trimmed(space, limits, price)
    kinds = trimmed.kinds()
    space = trimmed.without_kinds(kinds)
    return _Trimmed(space, limits, price).settled(kinds)


class _Trimmed:
    """One pass over a space."""

    def __init__(self, space: Space, limits: SizeLimits, price: Pricer) -> None:
        self.space, self.limits, self.price = space, limits, price
        self.own = [
            one
            for one in space.dimensions
            if isinstance(one, Choice) and ".adapter." in one.path and one.name != "adapter"
        ]
        """Settings of adapters. Those that are no choice among a few values do not change a size."""

    def share(self, assignment: Assignment) -> float:
        """Of what is allowed that its adapter takes at least."""
        return self.limits.share(self.forecast(assignment))

    def forecast(self, assignment: Assignment) -> Forecast:
        return self.price(self.space.build(assignment))

    def smallest(self, **fixed: Json) -> Assignment:
        """The recipe with the smallest adapter among those with these values: one setting after the other."""
        chosen = dict(fixed)
        for dimension in self.own:
            if dimension.name not in fixed and dimension.active(self.space.default(**chosen)):
                chosen[dimension.name] = min(
                    dimension.options, key=lambda one: self.share(self.space.default(**{**chosen, dimension.name: one}))
                )
        return self.space.default(**chosen)

    def kinds(self) -> list[Json]:
        """The kinds of which some recipe fits, the default's first; none where there is no choice among kinds.

        Raises:
            BudgetError: there is no such recipe.
        """
        choice = _choice(self.space)
        options: list[Json] = list(choice.options) if choice is not None else []
        smallest = {kind: self.forecast(self.smallest(adapter=kind)) for kind in options}
        smallest = smallest or {"the adapter": self.forecast(self.smallest())}
        fitting = [kind for kind, forecast in smallest.items() if self.limits.share(forecast) <= 1]
        if not fitting:
            kind, forecast = min(smallest.items(), key=lambda one: self.limits.share(one[1]))
            quantity = self.limits.worst(forecast)
            size: float = getattr(forecast, quantity)
            raise BudgetError(
                f"no adapter that is searched fits into {self.limits}: the smallest, {kind}, "
                f"{_words(1, quantity, size)}",
                f"say for example: {_words(2, quantity, math.ceil(1.5 * size))}",
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
            if dimension.active(self.space.default(**chosen)) and self.share(self.smallest(**chosen)) <= 1:
                return True
        return False

    def _default(self) -> dict[str, Json]:
        """Setting -> its default: where the default recipe is too large, numbers give way before words, one setting
        after the other, each no further than it has to."""
        chosen = {one.name: one.default for one in self.own}
        for dimension in sorted(self.own, key=lambda one: not all(map(is_number, one.options))):
            if self.share(self.space.default(**chosen)) <= 1:
                break
            shares = [
                (one, self.share(self.space.default(**{**chosen, dimension.name: one}))) for one in dimension.options
            ]
            fits = [one for one in shares if one[1] <= 1]
            best = max(fits, key=lambda one: one[1]) if fits else min(shares, key=lambda one: one[1])
            chosen[dimension.name] = best[0]
        return chosen


def _choice(space: Space) -> Choice | None:
    """Of adapters; None where there is only one."""
    return next((one for one in space.dimensions if one.name == "adapter" and isinstance(one, Choice)), None)
