"""Between the points of our space and Optuna's parameters.

A choice whose options Optuna cannot hold (lists, mappings, ``1`` beside ``True``) is spelt as JSON. Weights on a
simplex are k numbers in (0, 1]: minus their logarithms, normalised, are uniform on the simplex, since
exponentials divided by their sum are Dirichlet(1) (Devroye 1986, Non-Uniform Random Variate Generation, XI.4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunewright.domain.frozen import Json, canonical_json
from tunewright.domain.space import Assignment, Choice, Dimension, Float, Int, Simplex, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

SMALLEST = 1e-4
"""Lower end of a simplex part's number: at most 9.2 times the weight of a part at e^-1."""


def suggest(trial: Trial, space: Space) -> Assignment:
    """Asks ``trial`` for every active dimension in the space's order; the others are never mentioned to it."""
    point: Assignment = {}
    for dimension in space.dimensions:
        if dimension.active(point):
            point[dimension.name] = _decode(
                dimension, {name: _suggest(trial, name, d) for name, d in distributions(dimension).items()}
            )
    return point


def decode(params: Mapping[str, Any], space: Space) -> Assignment | None:
    """The point that ``params`` stand for; None if they lack an active dimension."""
    point: Assignment = {}
    for dimension in space.dimensions:
        if dimension.active(point):
            if not all(name in params for name in distributions(dimension)):
                return None
            point[dimension.name] = _decode(dimension, params)
    return point


def encode(point: Assignment, space: Space) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Parameters and distributions of ``point``, for a trial that Optuna did not think of."""
    params: dict[str, Any] = {}
    spaces: dict[str, BaseDistribution] = {}
    for dimension in space.active(point):
        spaces.update(distributions(dimension))
        params.update(_encode(dimension, point[dimension.name]))
    return params, spaces


def params(dimension: Dimension, value: Json) -> dict[str, Any]:
    """The parameters that stand for ``value``."""
    return _encode(dimension, value)


def option(dimension: Choice, spelt: Any) -> Json:
    """The option that a parameter's value stands for."""
    found: Json = _decode(dimension, {dimension.name: spelt})
    return found


def distributions(dimension: Dimension) -> dict[str, BaseDistribution]:
    """Parameter name -> distribution: one a dimension, one a part for a simplex."""
    from optuna import distributions as optuna

    match dimension:
        case Float():
            return {dimension.name: optuna.FloatDistribution(dimension.low, dimension.high, log=dimension.log)}
        case Int():
            return {dimension.name: optuna.IntDistribution(dimension.low, dimension.high, log=dimension.log)}
        case Choice():
            return {dimension.name: optuna.CategoricalDistribution(_spelt(dimension))}
        case _:
            return {name: optuna.FloatDistribution(SMALLEST, 1.0) for name in _parts(dimension)}


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    from optuna import distributions as optuna

    match distribution:
        case optuna.FloatDistribution():
            return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        case optuna.IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
        case _:
            return trial.suggest_categorical(name, distribution.choices)


def _decode(dimension: Dimension, params: Mapping[str, Any]) -> Json:
    match dimension:
        case Choice():
            option = dimension.options[_index(_spelt(dimension), params[dimension.name])]
            return list(option) if isinstance(option, tuple) else option
        case Simplex():
            exponentials = [-math.log(params[name]) for name in _parts(dimension)]
            total = sum(exponentials)
            k = len(exponentials)
            return [part / total for part in exponentials] if total > 0 else [1 / k] * k
        case _:
            return params[dimension.name]


def _encode(dimension: Dimension, value: Json) -> dict[str, Any]:
    match dimension:
        case Choice():
            # By spelling: ``True`` is not 1, and a list is the tuple it was before it went through JSON.
            spellings = [canonical_json(option) for option in dimension.options]
            return {dimension.name: _spelt(dimension)[spellings.index(canonical_json(value))]}
        case Simplex():
            # The scale is free: the weights' mean is put at one, unless that would leave the range.
            scale = min(len(value), -math.log(SMALLEST) / max(value))
            return {name: max(SMALLEST, math.exp(-scale * v)) for name, v in zip(_parts(dimension), value, strict=True)}
        case Int():
            return {dimension.name: int(value)}
        case _:
            return {dimension.name: float(value)}


def _spelt(dimension: Choice) -> list[Any]:
    plain = all(option is None or isinstance(option, bool | int | float | str) for option in dimension.options)
    # 1 == True == 1.0: Optuna could not tell them apart either.
    distinct = len(set(dimension.options)) == len(dimension.options) if plain else False
    return list(dimension.options) if distinct else [canonical_json(option) for option in dimension.options]


def _index(spelt: list[Any], value: Any) -> int:
    return next(i for i, option in enumerate(spelt) if option == value and type(option) is type(value))


def _parts(dimension: Simplex) -> list[str]:
    return [f"{dimension.name}[{part}]" for part in dimension.parts]
