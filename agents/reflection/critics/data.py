"""The data critic: which rows a trial gets wrong, and whether the same ones as the incumbent."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.critics.critic import Critic
from tunewright.agents.reflection.levers import WEIGHTS
from tunewright.domain.finding import Finding
from tunewright.tools.analysis.gains import Part, parts
from tunewright.tools.analysis.slices import read_inputs

ROLE = "critic.data"
_CONCENTRATED = 1.5
"""Times the share of rows that a slice's share of the errors has to be, to be called concentrated."""
_LEAST = 5
"""Errors of a slice below which it says nothing."""
_MORE = 1.5


def find(case: Case) -> Finding | None:
    """Where a trial's errors pile up, else which weights of the mix did better."""
    trial = next((one for one in reversed(case.trials) if case.study.jobs[one].score is not None), None)
    return None if trial is None else _slice(case, trial) or _mix(case)


def facts(case: Case) -> list[str]:
    """Slices of each trial against the incumbent's, those that lost most first."""
    found = []
    for trial in case.shown:
        for one in _parts(case, trial)[:4]:
            found.append(f"{trial} against {case.grades[trial].against}: {one.says()}")
    return found or ["no rows of the trials under discussion can be read"]


def _slice(case: Case, trial: str) -> Finding | None:
    found = [one for one in _parts(case, trial) if one.wrong >= _LEAST and one.lift >= _CONCENTRATED]
    if not found:
        return None
    worst = max(found, key=lambda one: (one.wrong, one.name))
    return Finding(
        by=ROLE,
        trials=(trial,),
        says=f"errors of {trial} pile up in {worst.kind} {worst.name!r}: {worst.wrong} of {worst.rows} rows are wrong, "
        f"{worst.lift:.1f} times its share",
        cause=f"errors in {worst.kind} {worst.name}",
        evidence=case.cite((trial,), "score"),
        weight=0.4,
    )


def _mix(case: Case) -> Finding | None:
    """The incumbent's weights moved on in the direction of the source that the better half has more of."""
    lever = case.lever(case.parent, WEIGHTS) if case.parent is not None else None
    scored = [one for one in case.ranked if lever is not None and isinstance(one.get(lever.path), list | tuple)]
    if lever is None or len(scored) < 4:
        return None
    half = len(scored) // 2
    size = len(lever.value)
    better, worse = (
        [sum(float(one.get(lever.path)[i]) for one in ones) / len(ones) for i in range(size)]
        for ones in (scored[:half], scored[half:])
    )
    part = max(range(size), key=lambda i: better[i] - worse[i])
    moved = lever.toward(part, _MORE)
    if better[part] - worse[part] <= 0 or moved is None:
        return None
    name = lever.dimension.parts[part] if lever.dimension.kind == "simplex" else str(part)
    return Finding(
        by=ROLE,
        trials=tuple(one.id for one in scored[:half]),
        says=f"the better half of the trials has {better[part]:.2f} of source {name!r}, the others {worse[part]:.2f}",
        cause=f"too little of source {name}",
        evidence=case.cite([one.id for one in scored[:2]], "score"),
        weight=0.45,
        edits={lever.path: moved},
    )


def _parts(case: Case, trial: str) -> Sequence[Part]:
    against = case.grades[trial].against or "base"
    mine, theirs = case.items(trial), case.items(against)
    labelled = case.study.task is not None and case.study.task.format == "label"
    return parts(mine, theirs, read_inputs(case.folder) if mine else {}, sign=case.sign, labelled=labelled)


CRITIC = Critic(ROLE, "critic_data", find, facts)
