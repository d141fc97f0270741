"""The methods of search that are compared, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from course import Course
from study import by_optuna, by_us
from world import World

Method = Callable[[World, float, int], Course]
"""A study in a world, with a budget in seconds and a seed."""

EVERY_RUNG = (0.25, 0.5, 1.0, 2.0)
"""Where Hyperband may stop a trial."""
OUR_RUNGS = (0.25, 1.0)
"""Where ours may pause one: what ``search.rungs.rungs_for`` gives for a default of four epochs."""


def _samplers() -> dict[str, Callable[[int], Any]]:
    import optuna

    of = optuna.samplers
    return {
        "random": lambda seed: of.RandomSampler(seed=seed),
        "TPE": lambda seed: of.TPESampler(seed=seed),
        "TPE, multivariate and group": lambda seed: of.TPESampler(seed=seed, multivariate=True, group=True),
        "GP": lambda seed: _quick(of.GPSampler(seed=seed)),
        "CMA-ES": lambda seed: of.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    }


def _quick(sampler: Any) -> Any:
    """Optuna's GP in half the time. It does its work inside ``torch.device("cpu")``, which has torch call Python at
    each operation; with the default device the CPU anyway, the same numbers come without.
    """
    from torch.overrides import _pop_mode_temporarily

    within = sampler._sample_relative_impl

    def without(*given: Any) -> Any:
        with _pop_mode_temporarily():
            return within(*given)

    sampler._sample_relative_impl = without
    return sampler


def _optuna(sampler: str, world: World, budget_s: float, seed: int, *, hyperband: bool = False) -> Course:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of Optuna's own options are experimental
        made = _samplers()[sampler](seed)
        if not hyperband:
            return by_optuna(world, made, optuna.pruners.NopPruner(), budget_s, seed)
        pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=16, reduction_factor=3)
        return by_optuna(world, made, pruner, budget_s, seed, EVERY_RUNG)


def _ours(sampler: str, pruner: str, world: World, budget_s: float, seed: int) -> Course:
    return by_us(world, sampler, pruner, budget_s, seed, OUR_RUNGS if pruner != "none" else ())


METHODS: dict[str, Method] = {
    **{name: partial(_optuna, name) for name in ("random", "TPE", "TPE, multivariate and group", "GP", "CMA-ES")},
    "TPE and Hyperband": partial(_optuna, "TPE", hyperband=True),
    "tree without Bayes": partial(_ours, "tree-random", "halving"),
    "Bayes without tree": partial(_ours, "model", "promising"),
    "ours": partial(_ours, "tree", "promising"),
}
"""Optuna's own with Optuna's own settings, then the two halves of ours and ours."""
