"""Trials are made smaller after losses, and as large as proposed again after a gain (TradingGroup, arXiv 2508.17565:
a conservative style buys half as much; after how many losses is ours).

The size of a trial is its passes over the data. A smaller one is an edit inside the plan's space.
"""

from __future__ import annotations

from pydantic import ValidationError

from tunewright.agents.proposing import proposed
from tunewright.agents.reflection.grade import grades
from tunewright.agents.risk.style import last_gain
from tunewright.domain.frozen import Json
from tunewright.domain.proposal import Idea
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Dimension, Simplex, Space, is_number
from tunewright.domain.study import Study

LOSSES = 3
"""After so many losses the size is halved, and after so many more again."""
LEAST = 0.25
"""Of the size proposed."""
SIZES = (".optimisation.epochs", ".optimisation.steps")
_SPARED = ("default", "brief", "reviewer", "confirm")
"""Origins of ideas that are trained as they are: a yardstick, or a person's."""


def sized(study: Study, idea: Idea) -> Idea:
    """The idea as large as losses allow, with the reason in its own; the same idea where it is not to be changed."""
    count = losing_streak(study)
    factor = size_after(count)
    if factor == 1.0 or idea.origin in _SPARED or study.plan is None:
        return idea
    smaller = smaller_recipe(study.plan.space, idea.recipe, factor)
    if smaller is None or smaller.fingerprint in proposed(study):
        return idea
    said = f"{idea.reason}; {factor:g} of its passes, after {count} losses since the last gain"
    return idea.model_copy(update={"recipe": smaller, "reason": said})


def size_after(losses: int) -> float:
    """Share of the passes that are trained after so many losses. Never rises with them."""
    return float(max(LEAST, 0.5 ** (losses // LOSSES)))


def losing_streak(study: Study) -> int:
    """Trials since the last gain that fell behind the incumbent by more than noise, or failed by their own fault."""
    last = last_gain(study)
    return sum(one.lost and study.jobs[one.trial].verdicts_then > last for one in grades(study))


def smaller_recipe(space: Space, recipe: Recipe, factor: float) -> Recipe | None:
    """The recipe with at most ``factor`` of its passes, or with the fewest that the space has; None where that changes
    nothing, or the recipe lies outside.
    """
    if not space.contains(recipe):
        return None
    point = space.assignment(recipe)
    sizes = {d.name: _at_most(d, point[d.name], factor) for d in space.active(point) if d.path.endswith(SIZES)}
    try:
        found = space.build({**point, **sizes}).reseeded(recipe.seed)
    except (ValidationError, KeyError, ValueError):
        return None
    return found if found != recipe and space.contains(found) else None


def passes(space: Space, recipe: Recipe) -> float:
    """Of all stages together, or steps where those are what is set; of a recipe inside the space."""
    point = space.assignment(recipe)
    said = [point[d.name] for d in space.active(point) if d.path.endswith(SIZES)]
    return float(sum(one for one in said if is_number(one)))


def _at_most(dimension: Dimension, value: Json, factor: float) -> Json:
    if isinstance(dimension, Simplex) or not is_number(value):
        return value
    wanted = value * factor
    if isinstance(dimension, Choice):
        fewer = sorted(one for one in dimension.options if is_number(one) and one <= value)
        return max((one for one in fewer if one <= wanted), default=fewer[0])
    return max(dimension.low, int(wanted) if dimension.kind == "int" else wanted)
