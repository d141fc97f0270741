"""What the report says of the planner's ideas: each with its hypothesis, what refutes it, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable

from tunewright.agents.reflection.grade import grades
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study
from tunewright.tools.analysis.configuration import Table

_STANDS = {True: "refuted", False: "stands", None: "not put to the test"}


def ideas_table(study: Study) -> Table:
    """Those that were run, those that wait, those that were left out; no rows where nobody had any."""
    return Table("Ideas of the planner", tuple(_rows(study)), ("hypothesis", "refuted if", "what became of it"))


def _rows(study: Study) -> Iterable[tuple[str, str, str]]:
    graded = {one.trial: one for one in grades(study)}
    for trial, proposal in study.proposals.items():
        if proposal.idea.origin != "planner":
            continue
        grade, decision = graded.get(trial), study.decisions.get(trial)
        if grade is not None:
            gain = "" if grade.gain is None else f", {grade.gain:+.3f} over {grade.against}"
            fate = f"run as {trial}: {_STANDS[grade.refuted]}{gain}"
        elif decision is not None and decision.action == "reject":
            fate = f"{trial} was rejected by {decision.by}: {decision.reason}"
        else:
            fate = f"proposed as {trial}"
        yield (*_said(proposal.idea), fate)
    for one in study.stock.useless:
        yield one.says, "", f"dropped: {one.why}"
    for idea in study.stock.waiting:
        yield (*_said(idea), "waits")
    for advised in study.stock.advised:
        for note in advised.dropped:
            yield note, "", f"left out or mended ({advised.by})"


def _said(idea: Idea) -> tuple[str, str]:
    if idea.hypothesis is None:
        return idea.reason, ""
    return idea.hypothesis.claim, idea.hypothesis.refuted_if.says()
