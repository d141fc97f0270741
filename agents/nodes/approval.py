"""Waits for a person. ``interrupt()`` stands alone here, with nothing billable before it, because LangGraph
runs the whole node again when the study is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunewright.agents.notebook import Notebook
from tunewright.agents.state import Node, State
from tunewright.domain import event as ev
from tunewright.domain.proposal import Decision
from tunewright.domain.study import Study

Targets = Callable[[Study], Sequence[str]]


def plan_target(study: Study) -> Sequence[str]:
    """The plan, unless it has been answered as it stands."""
    decision = study.decisions.get("plan")
    answered = decision is not None and (decision.action == "reject" or study.plan_approved)
    return () if study.plan is None or answered else ("plan",)


def batch_targets(study: Study) -> Sequence[str]:
    """The proposals nobody has answered."""
    return [proposal.id for proposal in study.undecided]


def make_approval(notebook: Notebook, targets: Targets, needs_person: Callable[[Study], bool]) -> Node:
    """A node that gets ``targets`` answered: by a person, or by the review mode where it asks nobody.

    The person's answers reach the journal through ``tunewright.app`` before the graph is resumed; this node only
    sees that they are there.
    """

    def approval(state: State) -> State:
        from langgraph.types import interrupt

        study = notebook.study
        due = tuple(targets(study))
        if not due:
            return state
        if not needs_person(study):
            for target in due:
                notebook.record(ev.Decided(decision=approve_by_policy(study, target)))
            return state
        if study.asked != due or study.at_work:  # asked in an earlier session, or in part answered: the clock stops
            notebook.record(ev.ReviewAsked(targets=due))
        interrupt({"targets": list(due)})
        return state

    return approval


def approve_by_policy(study: Study, target: str) -> Decision:
    """The approval that a review mode stands for; recorded like a person's."""
    assert study.plan is not None
    binds = study.plan.binding if target == "plan" else study.proposals[target].binding
    return Decision(
        target=target, action="approve", by="policy", reason=f"review mode is {study.options.review}", binds=binds
    )


def plan_needs_person(study: Study) -> bool:
    """Every mode but ``never`` shows the plan."""
    return study.options.review != "never"


def batch_needs_person(study: Study) -> bool:
    """``first`` asks once: until the first decisions about proposals are on record."""
    mode = study.options.review
    if mode == "first":
        return not any(target != "plan" for target in study.decisions)
    return mode in ("always", "batch")
