"""Which settings the score hung on, over the completed trials of a study."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tunewright.domain.frozen import Json, canonical_json
from tunewright.domain.path import label
from tunewright.domain.space import Assignment, Choice, Dimension, Float, Int, Simplex, Space
from tunewright.domain.study import Study
from tunewright.search.history import History, scores

LEAST_TRIALS = 6
"""Completed trials below which no setting can be told from another."""
MOST_TRIALS = 300
"""The newest so many are looked at, so that it stays a matter of seconds."""
NOT_SET = "-"


def importance(study: Study) -> dict[str, float]:
    """Setting -> its share of the score's variance, the largest first, adding up to one; empty for too few trials.

    fANOVA (Hutter, Hoos and Leyton-Brown 2014) as Optuna has it. Dimensions that set the same thing under different
    conditions, such as each adapter's learning rate, are one setting here: where it lies in its own range.
    """
    import optuna

    if study.plan is None:
        return {}
    known, space = scores(study), study.plan.space
    scored = [entry for entry in History(space).entries(study) if entry.id in known and entry.point is not None]
    scored = [entry for entry in scored if math.isfinite(known[entry.id])][-MOST_TRIALS:]
    if len(scored) < LEAST_TRIALS or len({known[entry.id] for entry in scored}) == 1:
        return {}
    columns = _columns(space, [entry.point or {} for entry in scored])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    view = optuna.create_study()
    distributions = {column.name: column.distribution() for column in columns}
    for i, entry in enumerate(scored):
        params = {column.name: column.values[i] for column in columns}
        trial = optuna.trial.create_trial(value=known[entry.id], params=params, distributions=distributions)
        view.add_trial(trial)
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=study.plan.seed)
    return _by_setting(columns, optuna.importance.get_param_importances(view, evaluator=evaluator))


@dataclass(frozen=True)
class _Column:
    """One setting over all trials, or one part of a mix."""

    setting: str
    name: str
    values: list[Any]

    def distribution(self) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        if isinstance(self.values[0], float):
            return FloatDistribution(0.0, 1.0)
        return CategoricalDistribution(sorted(set(self.values)))


def _columns(space: Space, points: list[Assignment]) -> list[_Column]:
    by_setting: dict[str, list[Dimension]] = {}
    for dimension in space.dimensions:
        by_setting.setdefault(label(dimension.path), []).append(dimension)
    columns = [column for setting, dims in by_setting.items() for column in _setting(setting, dims, points)]
    # What never varied explains nothing and cannot be split on.
    return [column for column in columns if len(set(column.values)) > 1]


def _setting(setting: str, dimensions: list[Dimension], points: list[Assignment]) -> Iterable[_Column]:
    """A number's place in its own range, from 0 to 1 and in the middle where it is not set; else a category."""
    found = [next(((d, point[d.name]) for d in dimensions if d.name in point), None) for point in points]
    first = dimensions[0]
    if isinstance(first, Simplex):
        for i, part in enumerate(first.parts):
            middle = 1 / len(first.parts)
            yield _Column(setting, f"{setting}[{part}]", [float(at[1][i]) if at else middle for at in found])
    elif all(isinstance(d, Float | Int) for d in dimensions):
        yield _Column(setting, setting, [_place(*at) if at else 0.5 for at in found])
    else:
        yield _Column(setting, setting, [canonical_json(at[1]) if at else NOT_SET for at in found])


def _place(dimension: Dimension, value: Json) -> float:
    assert not isinstance(dimension, Choice | Simplex)
    low, high = dimension.low, dimension.high
    if low == high:
        return 0.5
    place = math.log(value / low) / math.log(high / low) if dimension.log else (value - low) / (high - low)
    return float(min(1.0, max(0.0, place)))


def _by_setting(columns: list[_Column], shares: dict[str, float]) -> dict[str, float]:
    added: dict[str, float] = {}
    for column in columns:
        added[column.setting] = added.get(column.setting, 0.0) + float(shares.get(column.name, 0.0))
    return dict(sorted(added.items(), key=lambda pair: -pair[1]))
