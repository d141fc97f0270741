"""What two recipes have in common that is mispredicted in both, and how much of a misprediction each of it makes."""

from __future__ import annotations

from tunewright.domain.recipe import Recipe
from tunewright.tools.models.calibration import Prior

STEPS = Prior(
    noise=0.095,
    machine=14.0,
    size=2.0,
    aspects={"plan": 4.0, "kind": 4.0, "objective": 1.5, "adapter": 0.7, "batch": 0.7, "both": 1.5},
)
"""Seconds of optimiser steps."""
SCORING = Prior(noise=0.1, machine=12.0, size=0.0, aspects={"plan": 2.0, "kind": 4.0, "adapter": 1.0, "batch": 2.0})
"""Seconds of scoring a row."""
OVERHEAD = Prior(noise=0.1, machine=30.0, size=0.0, aspects={"plan": 2.0, "kind": 1.0})
"""Seconds of a job beside both."""
MEMORY = Prior(
    noise=0.018,
    machine=45.0,
    size=75.0,
    aspects={"plan": 3.0, "kind": 2.0, "objective": 0.7, "adapter": 0.7, "batch": 1.3},
)
"""Peak memory. All four were set on one task of ``benchmarks/search`` (``intervals.py``), and what is common to a plan
by guess, as the tasks there have one."""


def shared(recipe: Recipe) -> dict[str, str]:
    """What a recipe may have in common with another that is mispredicted in the same way."""
    stages = recipe.stages
    aims = " ".join(stage.objective.model_dump_json() for stage in stages)
    batch = " ".join(f"{stage.optimisation.batch_size} {stage.memory!r}" for stage in stages)
    return {
        "plan": recipe.plan,
        "kind": " ".join(f"{stage.objective.kind} {stage.adapter.kind}" for stage in stages),
        "objective": aims,
        "adapter": " ".join(stage.adapter.model_dump_json() for stage in stages),
        "batch": batch,
        "both": aims + batch,
    }
