"""What trials that are still to come need: as long as the default takes, by what has been measured so far."""

from __future__ import annotations

from tunewright.agents.specification import Forecaster
from tunewright.domain.budget import Cost
from tunewright.domain.proposal import Range
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study


def of_the_default(study: Study, forecast: Forecaster) -> Range:
    """Seconds that the default takes."""
    return forecast(study, _default(study)).seconds


def held_for(study: Study, seconds: float) -> Cost:
    """For trials that take so long one after another, beside each other where the study runs them so."""
    others = study.options.device_cost(seconds)
    return others.model_copy(update={"wall_s": others.wall_s / study.options.slots})


def still_planned(study: Study, beside: int = 0) -> int:
    """Trials of the plan that have not begun.

    Args:
        beside: trials that are about to begin.
    """
    assert study.plan is not None
    return max(0, study.plan.trials[1] - len(study.trials) - beside)


def owed(study: Study, forecast: Forecaster, job: str) -> Cost:
    """What a running trial must leave to those that the brief asked for, once it has taken all that it reserved: what
    as many trials like the default reserve.

    Nothing where the brief gives no number of trials: fewer and longer ones are then as good. The default owes none
    anything either, since a yardstick that is cut short measures nothing.
    """
    assert study.plan is not None
    count = still_planned(study)
    asked_for = study.budget is not None and study.budget.trials == study.plan.trials[1]
    if not count or not asked_for or study.recipe_of(job).recipe == _default(study):
        return Cost()
    return held_for(study, count * of_the_default(study, forecast).high)


def _default(study: Study) -> Recipe:
    assert study.plan is not None
    return study.plan.space.build(study.plan.space.default())
