"""A sampler's idea that is longer than what is left of the budget is trained for as many passes as fit, where that is
still a trial: no fewer than the yardstick has, or half of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from tunewright.agents.proposing import proposed
from tunewright.agents.risk.sizing import SIZES, passes, smaller_recipe
from tunewright.domain import ledger
from tunewright.domain.proposal import Forecast, Idea
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Space, is_number
from tunewright.domain.study import Study

_LEAST = 0.5
"""Of its own passes, that are worth a trial whatever the yardstick has."""
_SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""That are tried of a number of passes that is no choice."""
_ROUNDING = 1 + 1e-9
"""A third of three passes is one."""


def fitted(study: Study, idea: Idea, forecast: Callable[[Study, Recipe], Forecast]) -> Idea:
    """A sampler's idea with the most passes that what is left covers, and the reason; the same idea where it fits as it
    is, where no length of it does, or where the shorter one was proposed before. What anybody else proposes claims
    something of its length, and stays as it is.
    """
    if study.plan is None or idea.origin != "sampler" or _covered(study, forecast(study, idea.recipe)):
        return idea
    space = study.plan.space
    if not space.contains(idea.recipe):
        return idea
    known = proposed(study)
    whole, yardstick = passes(space, idea.recipe), passes(space, space.build(space.default()))
    for share in _shares(space, idea.recipe):
        shorter = smaller_recipe(space, idea.recipe, share * _ROUNDING)
        if shorter is None or passes(space, shorter) < min(_LEAST * whole, yardstick):
            continue
        if shorter.fingerprint not in known and _covered(study, forecast(study, shorter)):
            left = f"{passes(space, shorter) / whole:.0%} of its passes, which what is left of the budget covers"
            return idea.model_copy(update={"recipe": shorter, "reason": f"{idea.reason}; {left}"})
    return idea


def _covered(study: Study, forecast: Forecast) -> bool:
    return not ledger.refusals(study, forecast.cost, idle=True)  # what runs may give back enough


def _shares(space: Space, recipe: Recipe) -> list[float]:
    """Of the recipe's passes, that the space has, the largest first."""
    point, found = space.assignment(recipe), set[float]()
    for one in space.active(point):
        value = point[one.name]
        if one.path.endswith(SIZES) and is_number(value) and value > 0:
            options = [option / value for option in one.options if is_number(option)] if isinstance(one, Choice) else []
            found |= {share for share in options or _SHARES if share < 1}
    return sorted(found, reverse=True)
