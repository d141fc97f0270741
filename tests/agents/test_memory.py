"""What memory there is decides what is searched, and what a machine lacks is told before anything is launched."""

from __future__ import annotations

import pytest
from tests.stories import BUDGET, FORECAST, RUNGS, Story, space, task

from tunewright.agents.forecasting import lean_enough, make_space
from tunewright.agents.specification import memory_limit, problems
from tunewright.domain.job import Rungs
from tunewright.domain.path import put
from tunewright.domain.proposal import Forecast, Idea, Proposal, Range
from tunewright.domain.recipe import Memory, Recipe
from tunewright.domain.study import Study
from tunewright.domain.task import Constraint
from tunewright.tools.training.memory import ladder

RECIPE = space().build(space().default())
LADDER = (Memory(), *ladder(16))


def study(allowed: float | None = None, *constraints: Constraint) -> Study:
    told = Story(space=space(), task=task(constraints=constraints), budget=BUDGET, rungs=RUNGS).study
    told.options = told.options.model_copy(update={"memory_gib": allowed})
    return told


def at_most(gib: float) -> Constraint:
    return Constraint(quantity="peak_memory_gib", relation="<=", value=gib)


def price(_: Study, recipe: Recipe, rungs: Rungs) -> Forecast:
    """8 GiB, and a GiB less for each rung of the ladder."""
    high = 8.0 - LADDER.index(recipe.stages[0].memory)
    return FORECAST.model_copy(update={"memory_gib": Range(expected=high - 0.5, low=high - 1, high=high)})


def test_the_machine_and_the_brief_both_limit_memory() -> None:
    assert memory_limit(study()) is None
    assert memory_limit(study(4.0)) == 4.0
    assert memory_limit(study(4.0, at_most(2.0))) == 2.0
    assert memory_limit(study(1.0, at_most(2.0))) == 1.0
    assert memory_limit(study(None, Constraint(quantity="peak_memory_gib", relation=">=", value=1))) is None


@pytest.mark.parametrize(("allowed", "rung"), [(7.0, 1), (6.5, 2), (4.0, 4), (0.5, len(LADDER) - 1)])
def test_the_cheapest_that_fits_is_taken_or_else_the_leanest(allowed: float, rung: int) -> None:
    assert lean_enough(study(allowed), RECIPE, price) == LADDER[rung]


def test_nothing_is_searched_where_the_default_fits() -> None:
    for one in (study(), study(8.0)):
        assert lean_enough(one, RECIPE, price) is None
        assert "micro_batch" not in names(one)


def test_the_default_of_a_tight_study_is_the_one_that_fits() -> None:
    for tight in (study(4.0), study(64.0, at_most(4.0))):
        made = make_space(tight, (1.0, 2.0), 2.0, price)
        assert {"micro_batch", "checkpoint_every", "offload", "compact"} <= names(tight)
        assert made.build(made.default()).stages[0].memory == LADDER[4]


def names(tight: Study) -> set[str]:
    return {one.name for one in make_space(tight, (1.0, 2.0), 2.0, price).dimensions}


def proposal(**memory: object) -> Proposal:
    recipe = Recipe.model_validate(put(RECIPE.model_dump(mode="json"), "stages.0.memory", memory))
    return Proposal(id="t0", idea=Idea(recipe=recipe, origin="brief", reason="r"), forecast=FORECAST, binding="0")


def test_the_gate_says_what_the_machine_lacks_and_what_is_too_large() -> None:
    assert problems(study(4.0), proposal()) == []
    lacking = problems(study(4.0), proposal(base_bits=4))
    assert "a base of 4 bits needs a GPU, and the trial has none" in lacking
    (found,) = problems(study(64.0, at_most(2.0)), proposal())
    assert found == "needs 2.40 GiB or more, 2.00 GiB are allowed"
