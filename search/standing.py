"""How a proposal stands, in Optuna's terms: running, complete, pruned or failed, and whose fault it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tunewright.domain.outcome import Completed, Failed, Measurement, Pruned
from tunewright.domain.proposal import Decision
from tunewright.domain.record import JobRecord
from tunewright.domain.space import Assignment, Space
from tunewright.domain.study import Study
from tunewright.search import distributions
from tunewright.search.evidence import COST, NOISE
from tunewright.search.goal import goals_of
from tunewright.search.history import Entry
from tunewright.search.limit import excess

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, TrialState

LIMITS = "limits"
"""The one constraint: by how much, as a share, the worst limit was passed. Above zero is too much."""


@dataclass(frozen=True)
class Standing:
    """What Optuna is told of a proposal."""

    state: TrialState
    values: list[float] | None = None
    rungs: dict[int, float] = field(default_factory=dict)
    excess: float | None = None
    """Of ``LIMITS``; None where nothing is limited."""
    cost_s: float | None = None
    """Seconds that it takes to its end: measured, or forecast."""
    reason: str = ""
    goals: Mapping[str, float] = field(default_factory=dict)
    """Quantity -> what it has of the goals besides the score, once that is measured."""
    rows: str = ""
    """Such as ``120 of 300``: what its score at the end rests on, where that is not all."""
    noises: Mapping[int, float] = field(default_factory=dict)
    """Rung, or 0 for the end -> standard deviation of its score by the rows that it was measured on."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What our own samplers are told beside scores and constraints."""
        noises = {str(rung): noise for rung, noise in self.noises.items()}
        return ({COST: self.cost_s} if self.cost_s else {}) | ({NOISE: noises} if noises else {})

    @cached_property
    def says(self) -> str:
        """State and score, to see whether anything is new."""
        score = f" {self.values[0]!r}" if self.values else ""
        return f"{self.state.name.lower()}{score} {len(self.rungs)}"

    def constraint_attributes(self) -> dict[str, Any]:
        """The constraint in Optuna's own spelling."""
        from optuna.trial import TrialState, create_trial

        if self.excess is None:
            return {}
        return dict(create_trial(state=TrialState.FAIL, constraints={LIMITS: self.excess}).system_attrs)

    def as_trial(
        self,
        point: Assignment | None,
        space: Space,
        *,
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any] | None = None,
    ) -> FrozenTrial:
        """The trial that stands so at ``point`` of ``space``; without parameters where it is outside."""
        from optuna.trial import create_trial

        params, spaces = distributions.encode(point, space) if point is not None else ({}, {})
        return create_trial(
            state=self.state,
            values=self.values,
            params=params,
            distributions=spaces,
            user_attrs=dict(user_attrs),
            system_attrs={**(system_attrs or {}), **self.constraint_attributes()},
            intermediate_values=self.rungs,
        )


class Standings:
    """How each proposal stands, worked out again only when something has happened to it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], Standing]] = {}

    def of(self, study: Study, entry: Entry) -> Standing:
        """See ``standing``."""
        decision, job = study.decisions.get(entry.id), study.jobs.get(entry.id)
        outcome, measured = (job.outcome, job.measurements) if job is not None else (None, None)
        facts = (entry, decision, outcome, measured, job.group_excess if job is not None else None)
        known = self._known.get(entry.id)
        # By identity: the study never changes a fact, it puts another in its place.
        if known is not None and all(a is b for a, b in zip(known[0], facts, strict=True)):
            return known[1]
        now = standing(study, entry)
        self._known[entry.id] = facts, now
        return now


def standing(study: Study, entry: Entry) -> Standing:
    """What the study says of ``entry`` now.

    A recipe's own fault (``config``, ``memory``) is a pruned trial that passes its limits, by how much is not known:
    samplers keep away from there. So is what was not launched because it does not fit into memory. A fault of the
    machine is a failed trial: they learn nothing from it.
    """
    now = _standing(study, entry)
    goals, noises = goals_of(study, entry.id), _noises(study.jobs.get(entry.id))
    return replace(now, goals=goals, cost_s=_cost_s(study, entry.id), noises=noises)


def _standing(study: Study, entry: Entry) -> Standing:
    from optuna.trial import TrialState

    decision, job = study.decisions.get(entry.id), study.jobs.get(entry.id)
    if entry.point is None:
        return Standing(TrialState.FAIL, reason="outside the space")
    if decision is not None and decision.action == "reject":
        if decision.excess is not None and not _repaired(study, entry, decision):
            return Standing(TrialState.PRUNED, excess=decision.excess, reason=f"does not fit: {decision.reason}")
        return Standing(TrialState.FAIL, reason=f"rejected: {decision.reason}")
    if job is None or not job.ended:
        return Standing(TrialState.RUNNING, rungs=_rungs(job) if job is not None else {})
    match job.outcome:
        case Completed() as done if math.isfinite(done.score):
            return Standing(TrialState.COMPLETE, [done.score], _rungs(job), excess(study, entry.id))
        case Pruned(partial=part) as pruned if part is not None and math.isfinite(part.estimate):
            # Trained to its end: its score is known, only less well.
            on, over = f"{part.measurement.rows} of {part.of}", excess(study, entry.id)
            return Standing(TrialState.COMPLETE, [part.estimate], _rungs(job), over, reason=pruned.reason, rows=on)
        case Pruned() as pruned:
            rungs = _rungs(job)
            last = [rungs[max(rungs)]] if rungs else None
            return Standing(TrialState.PRUNED, last, rungs, excess(study, entry.id), reason=pruned.reason)
        case Failed(fault=fault) if fault.kind in ("config", "memory"):
            return Standing(TrialState.PRUNED, excess=1.0, reason=f"{fault.kind} fault: {fault.message}")
        case Failed(fault=fault):
            return Standing(TrialState.FAIL, reason=f"{fault.kind} fault: {fault.message}")
        case _:
            return Standing(TrialState.FAIL, reason="the score is not a number")


def _repaired(study: Study, entry: Entry, decision: Decision) -> bool:
    """Whether what is proposed instead lies at the same point, so that what comes of it is what the point is like."""
    if decision.instead is None or study.plan is None:
        return False
    return study.plan.space.assignment(decision.instead) == entry.point


def _rungs(job: JobRecord) -> dict[int, float]:
    """Number of a rung -> score."""
    return {_rung(m): m.value for m in job.measurements if math.isfinite(m.value)}


def _noises(job: JobRecord | None) -> dict[int, float]:
    """See ``Standing.noises``; rungs without an interval are left out."""
    if job is None:
        return {}
    found = {_rung(m): m for m in job.measurements}
    match job.outcome:
        case Completed(result=result) if result.measurement is not None:
            found[0] = result.measurement
        case Pruned(partial=part) if part is not None:
            found[0] = part.measurement
        case _:
            pass
    return {rung: noise for rung, m in found.items() if (noise := m.deviation) is not None}


def _rung(measured: Measurement) -> int:
    """Number of a rung, from 1. What is no rung of the plan is told apart by its step."""
    return measured.step if measured.rung is None else measured.rung + 1


def _cost_s(study: Study, id: str) -> float:
    job = study.jobs.get(id)
    if job is not None and isinstance(job.outcome, Completed):
        return job.settled.wall_s + job.outcome.result.shared_s
    return study.recipe_of(id).forecast.seconds.expected
