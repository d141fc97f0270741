"""What a study's trials have of goals besides the score, as a sampler is told."""

from __future__ import annotations

from tunewright.domain.goal import measured, tradeoffs
from tunewright.domain.outcome import Completed
from tunewright.domain.study import Study

GOALS, WEIGHTS = "goals", "tradeoff:weights"
"""User attribute of a trial: quantity -> what was measured of it. System attribute: the weights it was chosen by."""


def goals_of(study: Study, id: str) -> dict[str, float]:
    """Quantity -> what a trial has of it, once it has come to its end; nothing where the brief has no such goals."""
    job = study.jobs.get(id)
    if study.task is None or job is None or not isinstance(job.outcome, Completed):
        return {}
    outcome = job.outcome
    found = {goal.quantity: measured(outcome, goal.quantity) for goal in tradeoffs(study.task)}
    return {quantity: value for quantity, value in found.items() if value is not None}
