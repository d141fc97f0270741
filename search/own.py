"""Our own samplers by name: the tree with what searches inside a branch, and each half without the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tunewright.domain.prior import Prior
from tunewright.domain.task import Goal

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tunewright.search.basis import Basis

_LINES = {
    "tree": "Tree search over what a recipe is, a model of all trials inside over what it is set to.",
    "tree-tpe": "The tree, TPE inside each branch.",
    "tree-cmaes": "The tree, CMA-ES inside each branch.",
    "tree-gp": "The tree, Optuna's Gaussian process inside each branch.",
    "tree-random": "The tree alone: what a recipe is set to is drawn at random.",
    "model": "The model of all trials alone: any recipe at any time, by expected improvement for its cost.",
}


def own_samplers() -> dict[str, str]:
    """Name -> one line about it."""
    return dict(_LINES)


def unused_priors(sampler: str) -> str:
    """What a sampler makes of a plan's priors where it does not use all of them, in one line; else nothing."""
    if sampler not in _LINES:
        return f"the sampler {sampler} does not use the planner's guesses; tree does"
    if "-" in sampler:
        return f"the sampler {sampler} uses the planner's guesses to choose branches alone; tree uses all of them"
    return ""


def build_own(
    name: str,
    basis: Basis,
    *,
    seed: int,
    cost_weight: float = 1.0,
    goals: Sequence[Goal] = (),
    priors: Sequence[Prior] = (),
    trials: int = 0,
) -> BaseSampler:
    """One of ``own_samplers``.

    Args:
        basis: what it goes by.
        cost_weight: 0 looks for improvement, 1 for improvement for its cost.
        goals: besides the score, that it is weighed against; earlier studies are then left out, as they tell of scores.
        priors: best guesses of settings.
        trials: that the study is to have; the more, the longer priors count.
    """
    from tunewright.search.prior import guesses_of
    from tunewright.search.tradeoff import TradeoffSampler
    from tunewright.search.tree import TreeSampler

    inner = name.partition("-")[2]
    sampler = TreeSampler(
        basis.tree,
        inner=partial(_inner, inner, seed) if inner else None,
        joint=name == "model",
        cost_weight=cost_weight,
        earlier=() if goals else basis.earlier,
        kinship=basis.kinship,
        guesses=guesses_of(priors, basis.space, trials) if priors else None,
        known=basis.known,
        seed=seed,
    )
    return TradeoffSampler(sampler, goals, seed=seed) if goals else sampler


def _inner(name: str, seed: int) -> BaseSampler:
    import optuna

    makers: dict[str, Callable[[], BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=4),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(
            seed=seed, n_startup_trials=4, popsize=4, warn_independent_sampling=False
        ),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed, n_startup_trials=4),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    return makers[name]()
