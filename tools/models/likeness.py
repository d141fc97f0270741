"""What two recipes have in common that is mispredicted in both, and how much of a misprediction each of it makes."""

from __future__ import annotations

from tunewright.domain.recipe import Recipe
from tunewright.tools.models.calibration import Prior

STEPS = Prior(
    noise=0.14,
    machine=6.5,
    size=1.0,
    aspects={"plan": 2.0, "kind": 1.5, "objective": 0.6, "adapter": 0.3, "batch": 0.3, "both": 0.6},
)
"""Seconds of optimiser steps."""
SCORING = Prior(noise=0.13, machine=8.0, size=0.0, aspects={"plan": 1.5, "kind": 2.0, "adapter": 0.7, "batch": 1.0})
"""Seconds of scoring a row."""
OVERHEAD = Prior(noise=0.13, machine=18.0, size=0.0, aspects={"plan": 1.5, "kind": 0.7})
"""Seconds of a job beside both."""
MEMORY = Prior(
    noise=0.018,
    machine=60.0,
    size=60.0,
    aspects={"plan": 3.0, "kind": 1.0, "objective": 0.4, "adapter": 0.4, "batch": 0.8},
)
"""Peak memory. All four were set on one task of ``benchmarks/search`` (``intervals.py``), whose trainings shared their
machine with other work, and what is common to a plan by guess, as the tasks there have one."""


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
