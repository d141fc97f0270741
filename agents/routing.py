"""What comes next: one pure function of the study. No node names another node."""

from __future__ import annotations

from typing import Literal

from tunewright.domain.outcome import Completed
from tunewright.domain.study import Study

Step = Literal[
    "planner", "plan_approval", "proposer", "batch_approval", "trainer", "evaluator", "reflection", "finisher", "end"
]


def next_step(study: Study, *, stop: bool = False) -> Step:
    """The node that has work to do. Depends on the journal alone, so a resumed study takes the same road.

    Args:
        stop: a person asked to stop; nothing is started any more.
    """
    if stop or (study.finished and study.published):
        return "end"
    if study.finished:
        return "finisher"
    if study.plan is None:
        return "planner"
    if not study.plan_approved:
        return "finisher" if _plan_rejected(study) else "plan_approval"
    if any(job.role == "trial" for job in study.unfinished) or study.approved:
        return "trainer"
    if unjudged(study):
        return "evaluator"
    if unreflected(study):
        return "reflection"
    if study.search_ended is not None:
        return "finisher"
    return "batch_approval" if study.undecided else "proposer"


def unjudged(study: Study) -> list[str]:
    """Completed trials the evaluator has not compared with an incumbent, oldest first."""
    return [job.id for job in study.unread if isinstance(job.outcome, Completed) and job.id not in study.judged]


def unreflected(study: Study) -> list[str]:
    """Ended trials that reflection has not read, oldest first."""
    return [job.id for job in study.unread if job.ended and job.id not in study.reflected]


def _plan_rejected(study: Study) -> bool:
    decision = study.decisions.get("plan")
    return decision is not None and decision.action == "reject"
