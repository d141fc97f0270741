"""What the surrogate tells others of a recipe: a gain, a chance, and nothing where it knows nothing."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.scheduler import begun
from tests.stories import play, surface

from tunewright.domain.study import Study
from tunewright.search.expecting import SURROGATE, Expecting, hope
from tunewright.search.random import RandomStrategy

NUMBER = st.floats(-10, 10)
WIDTH = st.floats(0, 5)


@given(mean=NUMBER, spread=WIDTH, noise=WIDTH, incumbent=NUMBER, feasible=st.floats(0, 1))
def test_a_chance_is_one_and_on_the_side_of_the_gain(
    mean: float, spread: float, noise: float, incumbent: float, feasible: float
) -> None:
    said = hope(mean, spread, noise, incumbent)
    assert said.gain == mean - incumbent and said.by == SURROGATE and 0 <= said.chance <= 1
    assert said.chance >= 0.5 if said.gain > 0 else said.chance <= 0.5
    assert hope(mean, spread, noise, incumbent, feasible=feasible).chance <= said.chance


def test_more_noise_makes_it_less_sure() -> None:
    chances = [hope(0.6, 0.01, noise, 0.5).chance for noise in (0.0, 0.1, 1.0)]
    assert chances == sorted(chances, reverse=True) and chances[-1] > 0.5


def test_good_and_bad_recipes_are_told_apart_after_some_trials_and_none_before() -> None:
    story, expecting = begun(trials=40), Expecting()
    recipes = [idea.recipe for idea in RandomStrategy(seed=5).ask(story.study, 30)]
    assert expecting(story.study, recipes[:2], 0.5) == [None, None]
    play(story, RandomStrategy(seed=3).ask, trials=20)
    best = max(job.score or 0.0 for job in story.study.trials)
    fresh = [
        one for one in recipes if one.fingerprint not in {p.recipe.fingerprint for p in story.study.proposals.values()}
    ]
    told = expecting(story.study, fresh, best)
    assert told == Expecting()(Study(story.events), fresh, best), "it learns from the study alone"
    ranked = sorted(zip(told, fresh, strict=True), key=lambda pair: -(pair[0].gain if pair[0] else -math.inf))
    top, bottom = [surface(r) for _, r in ranked[:8]], [surface(r) for _, r in ranked[-8:]]
    assert sum(top) > sum(bottom) + 0.5


def test_where_less_is_better_a_lower_score_is_a_gain() -> None:
    story = begun(direction="min", trials=40)
    play(story, RandomStrategy(seed=3).ask, trials=12, score=lambda recipe: 1 - surface(recipe))
    best = story.study.best()
    assert best is not None and best.score is not None
    (high,), (low,) = (Expecting()(story.study, [story.study.recipe_of(best.id).recipe], at) for at in (2.0, 0.01))
    assert high is not None and high.gain > 0.5 and high.chance > 0.9
    assert low is not None and low.gain < 0


def test_a_recipe_outside_the_space_has_none() -> None:
    story = begun(trials=100)
    play(story, RandomStrategy(seed=3).ask, trials=60)
    recipe = story.study.proposals["t1"].recipe
    stage = recipe.stages[0].model_copy(
        update={"optimisation": recipe.stages[0].optimisation.model_copy(update={"lr": 7.0})}
    )
    assert Expecting()(story.study, [recipe.model_copy(update={"stages": (stage,)})], 0.5) == [None]
