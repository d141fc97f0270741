"""Losses make trials smaller, never larger; a gain makes them as large as they were proposed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stories import Story, planned, space, task

from tunewright.agents.risk.sizing import LEAST, LOSSES, losing_streak, size_after, sized, smaller_recipe
from tunewright.domain.budget import Budget
from tunewright.domain.proposal import Idea
from tunewright.domain.recipe import Recipe
from tunewright.search.random import RandomStrategy


@given(losses=st.integers(0, 200))
def test_the_size_never_rises_with_losses(losses: int) -> None:
    assert LEAST <= size_after(losses + 1) <= size_after(losses) <= 1 == size_after(0)


@given(seed=st.integers(0, 500), factors=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=2))
def test_a_smaller_recipe_lies_in_the_space_and_differs_in_its_passes_alone(seed: int, factors: list[float]) -> None:
    story = Story(space=space(), task=task())
    story.propose([planned(story)])
    (idea,) = RandomStrategy(seed=seed).ask(story.study, 1)
    low, high = (smaller_recipe(space(), idea.recipe, one) or idea.recipe for one in sorted(factors))
    for found in (low, high):
        assert space().contains(found) and found.seed == idea.recipe.seed
        assert set(found.differences(idea.recipe)) <= {"stages.0.optimisation.epochs"}
    assert passes(low) <= passes(high) <= passes(idea.recipe)


def passes(recipe: Recipe) -> float:
    return float(recipe.stages[0].optimisation.epochs or 0)


def lost(story: Story, score: float) -> None:
    (job,) = story.propose([planned(story)])
    story.launch(job)
    story.complete(job, score)
    story.judge(job, story.study.incumbent or "base")


def test_after_losses_ideas_shrink_with_the_reason_and_after_a_gain_they_do_not() -> None:
    story = Story(space=space(), task=task(), budget=Budget(trials=40))
    story.launch("base", role="base")
    story.complete("base", 0.5)
    lost(story, 0.7)
    idea = planned(story, origin="sampler")
    assert sized(story.study, idea) is idea
    seen = []
    for _ in range(3 * LOSSES):
        lost(story, 0.4)
        seen.append(passes(sized(story.study, planned(story, origin="sampler")).recipe))
    assert seen == sorted(seen, reverse=True) and seen[0] == 2.0 and seen[-1] == 1.0
    small = sized(story.study, planned(story, origin="sampler"))
    assert f"of its passes, after {losing_streak(story.study)} losses since the last gain" in small.reason
    for origin in ("default", "brief"):
        spared = planned(story, origin=origin)  # type: ignore[arg-type]  # it is one of them
        assert sized(story.study, spared) is spared
    lost(story, 0.9)
    assert losing_streak(story.study) == 0
    again = planned(story, origin="sampler")
    assert sized(story.study, again) is again


def test_a_recipe_that_was_proposed_or_lies_outside_stays_as_it_is() -> None:
    story = Story(space=space(), task=task())
    outside = planned(story).recipe
    stage = outside.stages[0]
    stage = stage.model_copy(update={"optimisation": stage.optimisation.model_copy(update={"lr": 9.0})})
    assert smaller_recipe(space(), outside.model_copy(update={"stages": (stage,)}), 0.5) is None
    least = space().build({**space().default(), "epochs": 1.0})
    assert smaller_recipe(space(), least, 0.25) is None
    assert pytest.approx(1.0) == passes(Idea(recipe=least, origin="sampler", reason="r").recipe)
