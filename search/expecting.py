"""What a model of all trials expects of a recipe before it is tried: its gain over the incumbent, and the chance of it.

The one thing that the search tells others of its surrogate. It decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tunewright.domain.proposal import Hope
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.search import distributions
from tunewright.search.observed import Observed

SURROGATE = "surrogate"
_LEAST = 1e-9


def hope(mean: float, spread: float, noise: float, incumbent: float, *, feasible: float = 1.0) -> Hope:
    """The gain over the incumbent and its chance, where the score at the end is normal.

    Args:
        mean: of the score at the end, the higher the better.
        spread: standard deviation of that, for want of knowledge of the recipe.
        noise: standard deviation of a score by all that is not the recipe.
        incumbent: its score, likewise the higher the better.
        feasible: probability that it comes to an end within its limits.
    """
    width = max(math.hypot(spread, noise), _LEAST)
    chance = 0.5 * math.erfc((incumbent - mean) / (width * math.sqrt(2)))
    return Hope(gain=mean - incumbent, chance=min(1.0, max(0.0, feasible * chance)), by=SURROGATE)


class Expecting:
    """Says what is expected of recipes. Learns from the study alone; keeps what it worked out of each recipe."""

    def __init__(self) -> None:
        self._observed: Observed | None = None

    def __call__(self, study: Study, recipes: Sequence[Recipe], incumbent: float) -> list[Hope | None]:
        """One a recipe; None for all while too few trials have a score, and for what lies outside the space.

        Args:
            incumbent: the score to gain on, as the metric has it.
        """
        assert study.plan is not None, "asked after the plan"
        space = study.plan.space
        if self._observed is None or not self._observed.fits(study.plan):
            self._observed = Observed(study.plan)
        _, found = self._observed.trials(study)
        model = self._observed.model(found)
        if not model.fitted or not math.isfinite(incumbent):
            return [None] * len(recipes)
        sign = study.plan.task.metric.sign
        hopes: list[Hope | None] = []
        for recipe in recipes:
            if not space.contains(recipe):
                hopes.append(None)
                continue
            row = model.frame.row(*distributions.encode(space.assignment(recipe), space), model.named)[None]
            mean, spread = model.scores(row)
            feasible = float(model.feasible(row)[0])
            said = hope(float(mean[0]), float(spread[0]), model.noise, sign * incumbent, feasible=feasible)
            hopes.append(said if math.isfinite(said.gain) else None)
        return hopes
