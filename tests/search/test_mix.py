"""Weights over sources are searched: a source of noise is found and weighed down within the trials of examples/mix."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from tests.stories import Story, play, task

from tunewright.domain.budget import Budget
from tunewright.domain.recipe import Recipe
from tunewright.search.optuna import OptunaStrategy
from tunewright.tools.training.space import Wanted, recipe_space

SOURCES = ("first", "second", "noise")
LABELS = 12
TRIALS = 20


def loss(recipe: Recipe, chance: random.Random) -> float:
    """What a trial ends with in nats: what is still to be learned at this rate and length, and what the noise teaches.

    A model that has learned all that there is gives the right label the probability that the mix does.
    """
    stage = recipe.stages[0]
    wrong = stage.data.weights[2] * (1 - 1 / LABELS)
    unlearned = math.log10(stage.optimisation.lr / 6e-4) ** 2 + 0.25 * (1 - (stage.optimisation.epochs or 0))
    return 0.05 - math.log(1 - wrong) + unlearned + abs(chance.gauss(0, 0.04))


@pytest.mark.parametrize("seed", range(4))
def test_the_best_trial_has_less_than_a_third_of_the_uniform_weight_on_noise(seed: int, tmp_path: Path) -> None:
    space = recipe_space(Wanted(adapters=["lora"], sources=SOURCES, max_rank=8, epochs=(0.25, 0.5, 1.0), own=False))
    budget = Budget(wall_s=1e6, trials=TRIALS)
    story = Story(space=space, task=task(direction="min", sources=SOURCES), budget=budget, seed=seed)
    strategy, chance = OptunaStrategy(tmp_path / "optuna.journal", seed=seed), random.Random(seed)
    play(story, strategy.ask, trials=TRIALS, score=lambda recipe: loss(recipe, chance))
    best = story.study.best()
    assert best is not None
    weights = story.study.recipe_of(best.id).recipe.stages[0].data.weights
    assert weights[2] < 1 / 9
