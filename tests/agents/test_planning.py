"""The plan fits the budget, and what gives way gives way in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from tests.stories import RUNGS, Story, task
from tests.stories import space as some_space

from tunewright.agents.planning import Fidelity, Price, Sizing, make_plan
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.job import Rungs
from tunewright.domain.proposal import Forecast, Plan, Range
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Space
from tunewright.domain.study import Study


def price(_: Study, recipe: Recipe, rungs: Rungs) -> Forecast:
    """A minute an epoch."""
    seconds = 60 * (recipe.stages[0].optimisation.epochs or 0) + 5
    return Forecast(
        seconds=Range(expected=seconds, low=seconds * 0.8, high=seconds * 1.4),
        memory_gib=Range(expected=2, low=1.5, high=2.5),
        cost=Cost(wall_s=seconds * 1.4, device_s=seconds * 1.4, trials=1),
    )


def make_space(_: Study, epochs: Sequence[float], default: float) -> Space:
    space = some_space()
    lengths = Choice(name="epochs", path="stages.0.optimisation.epochs", options=tuple(epochs), default=default)
    return space.model_copy(
        update={"dimensions": tuple(lengths if d.name == "epochs" else d for d in space.dimensions)}
    )


def plan_for(budget: Budget, slots: int = 1, price: Price = price, **given: Any) -> Plan:
    story = Story(space=some_space(), task=task(), budget=budget, rungs=RUNGS)
    story.study.options = story.study.options.model_copy(update={"slots": slots})
    story.launch("base", role="base")
    story.complete("base", 0.1, seconds=14)
    return make_plan(story.study, price=price, make_space=make_space, now=story.now, **given)


@pytest.mark.parametrize(
    "budget",
    [
        Budget(wall_s=1800, trials=12),
        Budget(wall_s=780, trials=4),
        Budget(wall_s=7200, trials=3),
        Budget(device_s=1200),
    ],
)
def test_trials_confirmation_and_test_fit_the_budget(budget: Budget) -> None:
    plan = plan_for(budget)
    cap = budget.wall_s or budget.device_s or 0
    assert plan.expect.wall_s <= cap
    assert plan.keep.wall_s > 0
    (lengths,) = (d.options for d in plan.space.dimensions if d.name == "epochs" and isinstance(d, Choice))
    assert min(lengths) <= plan.space.default()["epochs"] <= max(lengths) <= 3 * plan.space.default()["epochs"]


def test_trials_side_by_side_share_the_clock_and_not_the_devices() -> None:
    alone, two = plan_for(Budget(wall_s=1800, trials=12)), plan_for(Budget(wall_s=1800, trials=12), 2)
    assert two.space.default()["epochs"] > alone.space.default()["epochs"]
    assert two.expect.wall_s <= 1800 and two.expect.device_s > 1.2 * two.expect.wall_s
    assert plan_for(Budget(device_s=1800, trials=12), 2).space == plan_for(Budget(device_s=1800, trials=12)).space


def test_length_gives_way_before_trials() -> None:
    roomy, tight = plan_for(Budget(wall_s=7200, trials=8)), plan_for(Budget(wall_s=900, trials=8))
    assert roomy.trials[1] == tight.trials[1] == 8
    assert tight.space.default()["epochs"] < roomy.space.default()["epochs"]


def test_fewer_trials_are_said() -> None:
    plan = plan_for(Budget(wall_s=300, trials=100))
    assert plan.trials[1] < 100
    assert any("of the 100 trials" in note for note in plan.notes)


def test_a_budget_that_covers_nothing_says_what_would() -> None:
    with pytest.raises(BudgetError, match=r"about \d+ minutes? would") as refused:
        plan_for(Budget(wall_s=60, trials=4))
    would = re.search(r"about (\d+) minute(s?)", refused.value.message)
    assert would and (would[1] == "1") == (would[2] == "")
    assert int(would[1]) > 1, "what would do is more than what did not"
    assert f"At most {2 * int(would[1])} minutes" in refused.value.hint


def test_without_a_time_cap_trials_are_long() -> None:
    assert plan_for(Budget(trials=5)).space.default()["epochs"] == 3.0


def slower(study: Study, recipe: Recipe, rungs: Rungs) -> Forecast:
    """The same machine on a bad day."""
    return price(study, recipe, rungs).model_copy(
        update={"seconds": Range(**{name: 1.5 * value for name, value in price(study, recipe, rungs).seconds})}
    )


def test_a_study_is_sized_as_it_was_where_a_trial_still_fits() -> None:
    budgets = [Budget(wall_s=600 + 60 * step, trials=8) for step in range(20)]
    plans = [plan_for(budget) for budget in budgets]
    as_before = [Sizing(plan.trials[1], plan.confirm_seeds, plan.epochs or 1) for plan in plans]
    anew = [plan_for(budget, price=slower) for budget in budgets]
    again = [plan_for(budget, price=slower, sized=sized) for budget, sized in zip(budgets, as_before, strict=True)]
    assert [plan.binding for plan in again] == [plan.binding for plan in plans]
    assert [plan.binding for plan in anew] != [plan.binding for plan in plans], "else nothing is shown"
    short = Budget(wall_s=300, trials=8)
    too_large = plan_for(short, sized=Sizing(8, 3, 3.0))
    assert too_large.binding == plan_for(short).binding and too_large.expect.wall_s <= 300 and too_large.epochs != 3.0


def test_an_approval_binds_what_is_decided_and_no_forecast() -> None:
    plan = plan_for(Budget(wall_s=1800, trials=8))
    forecasts = {"expect": Cost(wall_s=1), "keep": Cost(wall_s=2), "memory_gib": 9.0, "notes": ("n",), "by": "m"}
    assert plan.model_copy(update=forecasts).binding == plan.binding
    decided = {"trials": (1, 9), "confirm_seeds": 9, "seed": 9, "budget": Budget(usd=1), "rungs": Rungs(steps=(1,))}
    assert len({plan.binding, *(plan.model_copy(update={k: v}).binding for k, v in decided.items())}) == 6


def test_trials_may_be_shorter_and_looked_at_later() -> None:
    usual = plan_for(Budget(wall_s=7200, trials=8))
    shorter = plan_for(Budget(wall_s=7200, trials=8), fidelity=Fidelity(length=0.5, first_look=0.3))
    assert usual.epochs is not None and shorter.epochs is not None and shorter.epochs <= usual.epochs / 2
    assert usual.rungs.epochs[0] < 0.3 * usual.epochs and min(shorter.rungs.epochs) >= 0.3 * shorter.epochs
    assert plan_for(Budget(wall_s=7200, trials=8), fidelity=Fidelity(length=1e-6)).epochs == usual.epochs
