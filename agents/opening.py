"""The first trials of a study whose brief names adapters: each of them once, at its defaults.

"Compare lora, dora and gpart" asks for all three. A sampler gives no such promise: with few trials it may never
draw one of them.
"""

from __future__ import annotations

from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study

_DIMENSION = "adapter"
REASON = "the brief names it: every adapter it names gets a trial at its defaults"


def opening(study: Study) -> list[Idea]:
    """Ideas for the adapters that the brief names and nobody has proposed yet, in the space's order."""
    assert study.plan is not None
    space = study.plan.space
    dimension = next((one for one in space.dimensions if one.name == _DIMENSION), None)
    if not study.wishes.adapters or dimension is None or not study.proposals:
        return []  # trial 0, the default, comes first
    proposed = {stage.adapter.kind for proposal in study.proposals.values() for stage in proposal.idea.recipe.stages}
    waiting = [kind for kind in getattr(dimension, "options", ()) if kind not in proposed]
    recipes = [space.build(space.default(adapter=kind)).reseeded(study.plan.seed) for kind in waiting]
    return [Idea(recipe=recipe, origin="brief", reason=REASON) for recipe in recipes]
