"""Ideas that are longer than what is left: shortened while that is still a trial, and left as they are otherwise."""

from __future__ import annotations

import time

import pytest
from tests.agents.test_proposer import KEEP, Clock
from tests.stories import Story, space, task

from tunewright.agents.risk.fitting import fitted
from tunewright.agents.risk.sizing import passes
from tunewright.domain.budget import Budget
from tunewright.domain.proposal import Idea

SINCE_S = 20.0


def idea(epochs: float, origin: str = "sampler") -> Idea:
    found = space()
    recipe = found.build({**found.default(), "epochs": epochs})
    return Idea.model_validate({"recipe": recipe, "origin": origin, "reason": "why not"})


def story(left: float) -> Story:
    """A study with so many seconds beside what its plan keeps; an epoch takes at most 60."""
    return Story(space=space(), task=task(), budget=Budget(wall_s=KEEP + left + SINCE_S), started=time.time() - SINCE_S)


@pytest.mark.parametrize(
    ("left", "epochs", "trained"),
    [(200, 3.0, 3.0), (150, 3.0, 2.0), (100, 3.0, 3.0), (100, 2.0, 1.0), (50, 2.0, 2.0)],
    ids=["as it is", "as long as fits", "not below the yardstick's and half of its own", "half", "nothing fits"],
)
def test_as_many_passes_as_what_is_left_covers(left: float, epochs: float, trained: float) -> None:
    proposed = idea(epochs)
    found = fitted(story(left).study, proposed, Clock())
    assert passes(space(), found.recipe) == trained
    if trained < epochs:
        share = f"{trained / epochs:.0%}"
        assert found.reason == f"why not; {share} of its passes, which what is left of the budget covers"
        assert found.recipe.seed == proposed.recipe.seed and space().contains(found.recipe)
    else:
        assert found == proposed


@pytest.mark.parametrize("origin", ["default", "brief", "planner", "reviewer", "confirm"])
def test_a_yardstick_and_what_others_want_are_trained_as_they_are(origin: str) -> None:
    proposed = idea(2.0, origin)
    assert fitted(story(100).study, proposed, Clock()) == proposed


def test_what_was_proposed_before_is_not_proposed_again() -> None:
    told = story(100)
    told.propose([idea(1.0)])
    proposed = idea(2.0)
    assert fitted(told.study, proposed, Clock()) == proposed
