"""What comes next: one pure function of the study. No node names another node."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from tunewright.agents.beside.left import owed, panel_asks
from tunewright.agents.nodes.approval import batch_needs_person
from tunewright.agents.specification import preflight_id
from tunewright.domain.outcome import Completed
from tunewright.domain.study import Study

Step = Literal[
    "planner",
    "clarification",
    "plan_approval",
    "proposer",
    "batch_approval",
    "trainer",
    "evaluator",
    "reflection",
    "finisher",
    "end",
]
WHEN: Mapping[Step, str] = MappingProxyType(
    {
        "clarification": "the brief leaves something open that is not answered",
        "planner": "there is no plan",
        "plan_approval": "the plan waits for an answer",
        "evaluator": "a trial has ended and is not judged",
        "reflection": "a trial has ended and nobody has learned from it",
        "trainer": "a slot is free for what was approved, or something runs or waits",
        "batch_approval": "proposals wait for an answer",
        "proposer": "a slot is free and nothing is approved",
        "finisher": "the search has ended, or the plan was rejected",
        "end": "the report is published, or a person asked to stop",
    }
)
"""When each step is due, in the order in which they are looked at; for people."""


def next_step(study: Study, *, stop: bool = False) -> Step:
    """The node that has work to do. Depends on the journal alone, so a resumed study takes the same road.

    Args:
        stop: a person asked to stop; nothing is started any more, and what runs ends.
    """
    if stop:
        return "trainer" if study.running else "end"
    if study.finished:
        return "end" if study.published else "finisher"
    if study.plan is None:
        return "clarification" if study.doubts.open else "planner"
    if not study.plan_approved:
        return "finisher" if _plan_rejected(study) else "plan_approval"
    if unjudged(study):
        return "evaluator"
    if unreflected(study) and not panel_asks(study):
        return "reflection"
    step = _search_step(study)
    # What language models have to say is waited for when nothing is left that could run meanwhile.
    return "reflection" if step == "finisher" and owed(study) else step


def _search_step(study: Study) -> Step:
    """Free slots are filled; where none is, or a person is to be asked, what runs is waited for."""
    free = free_slots(study)
    if free and due(study) is not None:
        return "trainer"
    alone = not study.running or not batch_needs_person(study)
    if study.search_ended is None and study.undecided and alone:
        return "batch_approval"
    if study.search_ended is None and not study.undecided and free and alone:
        return "proposer"
    # Without a search nothing promotes what waits: it is closed.
    return "trainer" if study.running or study.waiting else "finisher"


def due(study: Study) -> str | None:
    """The trial that is launched next: one that was begun and may go on before one that was approved."""
    begun = [job.id for job in study.unfinished if job.role == "trial" and not job.open]
    approved = [proposal for proposal in study.approved if not _tried(study, proposal.id)]
    return begun[0] if begun else approved[0].id if approved else None


def _tried(study: Study, trial: str) -> bool:
    """Whether its preflight runs."""
    job = study.jobs.get(preflight_id(trial))
    return job is not None and job.open


def free_slots(study: Study) -> int:
    """How many trials may be launched beside those that run."""
    return max(0, study.options.slots - len(study.running))


def unjudged(study: Study) -> list[str]:
    """Completed trials the evaluator has not compared with an incumbent, oldest first."""
    return [job.id for job in study.unread if isinstance(job.outcome, Completed) and job.id not in study.judged]


def unreflected(study: Study) -> list[str]:
    """Ended trials that reflection has not read, oldest first."""
    return [job.id for job in study.unread if job.ended and job.id not in study.reflected]


def _plan_rejected(study: Study) -> bool:
    decision = study.decisions.get("plan")
    return decision is not None and decision.action == "reject"
