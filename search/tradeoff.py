"""Several goals in one search: ideas look for the best by weights of their own, so that all of a front is searched.

Scores and goals are scalarised by an augmented Chebyshev norm with weights that are drawn anew for each idea (Knowles
2006, ParEGO, IEEE Transactions on Evolutionary Computation 10, section II). The sampler inside sees one number a trial
and searches as ever. Three things are ours: the score has half of the weight or more; of goals the logarithm is taken,
as they are amounts such as bytes and seconds and span orders of magnitude; and every other idea looks for the score
alone, because the score comes first when a winner is picked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler

from tunewright.domain.task import Goal
from tunewright.search.goal import GOALS, WEIGHTS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_AUGMENTED = 0.05
"""Weight of the sum beside the largest term; Knowles's."""
_ALONE = 0.5
"""Share of the ideas that look for the score alone."""
_SCORE = 0.5
"""Weight that the score has at least: the smallest of all is no use where it has learned nothing."""
_LEAST = 1e-9


class TradeoffSampler(BaseSampler):  # type: ignore[misc]  # Optuna's types are not read here, see pyproject.toml
    """Shows ``inner`` one number a trial instead of its score: how far it is from the best of all that is wanted.

    A trial whose goals are not measured yet is shown without scores. ``inner`` may look at nothing but the trials and
    the direction of a study, as ``TreeSampler`` does.

    Args:
        inner: searches.
        goals: beside the score.
        seed: of the weights.
    """

    def __init__(self, inner: BaseSampler, goals: Sequence[Goal], *, seed: int | None = None) -> None:
        self._inner, self._goals = inner, tuple(goals)
        self._rng = np.random.default_rng(seed)
        self._weighed: dict[int, _Weighed] = {}

    def reseed_rng(self) -> None:
        """See ``BaseSampler``."""
        self._rng = np.random.default_rng()
        self._inner.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What ``inner`` searches for weights of this idea's own."""
        names = ["score", *(goal.quantity for goal in self._goals)]
        trials, said = study.get_trials(deepcopy=False), "the score alone"
        if self._rng.random() >= _ALONE:
            drawn = self._rng.dirichlet(np.ones(len(names)))
            weights = _SCORE * np.eye(len(names))[0] + (1 - _SCORE) * drawn
            trials = scalarised(
                trials, self._goals, list(map(float, weights)), maximise=study.direction.name == "MAXIMIZE"
            )
            said = ", ".join(f"{name} {share:.2f}" for name, share in zip(names, weights, strict=True))
        self._weighed = {trial.number: _Weighed(study, trials)}
        found = self._inner.infer_relative_search_space(self._weighed[trial.number], trial)
        study._storage.set_trial_system_attr(trial._trial_id, WEIGHTS, said)
        return dict(found)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See ``BaseSampler``."""
        return dict(self._inner.sample_relative(self._weighed.pop(trial.number, study), trial, search_space))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See ``BaseSampler``."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)


class _Weighed:
    """A study whose trials have other scores."""

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        self._study_itself, self._trials = study, trials

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        """As Optuna's."""
        return [trial for trial in self._trials if states is None or trial.state in states]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study_itself, name)


def scalarised(
    trials: Sequence[FrozenTrial], goals: Sequence[Goal], weights: Sequence[float], *, maximise: bool
) -> list[FrozenTrial]:
    """The trials with one number each, in the study's direction, for their scores and at each rung.

    Args:
        weights: of the score and of each goal.
        maximise: the score.
    """
    sign = 1.0 if maximise else -1.0
    amounts = {trial.number: _amounts(trial.user_attrs.get(GOALS, {}), goals) for trial in trials}
    known = [t for t in trials if amounts[t.number] is not None and t.value is not None and math.isfinite(t.value)]
    points = np.array([[-sign * t.value, *(amounts[t.number] or ())] for t in known]).reshape(-1, 1 + len(goals))
    low = points.min(axis=0) if len(points) else np.zeros(1 + len(goals))
    span = np.maximum(points.max(axis=0) - low, _LEAST) if len(points) else np.ones(1 + len(goals))

    def number(score: float, amount: Sequence[float]) -> float:
        away = np.asarray(weights) * (np.array([-sign * score, *amount]) - low) / span
        return -sign * float(away.max() + _AUGMENTED * away.sum())

    found = []
    for trial in trials:
        amount = amounts[trial.number]
        rungs = trial.intermediate_values if amount is not None else {}
        value = number(trial.value, amount) if amount is not None and trial.value is not None else None
        found.append(_told(trial, value, {step: number(score, amount or ()) for step, score in rungs.items()}))
    return found


def _amounts(measured: Mapping[str, float], goals: Sequence[Goal]) -> tuple[float, ...] | None:
    """Each goal so that less is better; None where one is not known."""
    if any(goal.quantity not in measured for goal in goals):
        return None
    ways = [1.0 if goal.direction == "min" else -1.0 for goal in goals]
    return tuple(way * math.log(max(measured[goal.quantity], _LEAST)) for way, goal in zip(ways, goals, strict=True))


def _told(trial: FrozenTrial, value: float | None, rungs: Mapping[int, float]) -> FrozenTrial:
    """A copy with these numbers; what has ended without one is left out by its state."""
    from copy import copy

    from optuna.trial import TrialState

    found = copy(trial)
    found._values = None if value is None else [value]
    found.intermediate_values = dict(rungs)
    if value is None and trial.state == TrialState.COMPLETE:
        found.state = TrialState.FAIL
    return found
