"""Whether a finished trial stays within the limits of the brief. One that does not takes no place: it is not the best
so far, is not trained again, and does not win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.agents.judging import read_items
from tunewright.domain.goal import GROUP_LOSSES, measured
from tunewright.domain.outcome import Completed, Item
from tunewright.domain.study import Study
from tunewright.domain.task import Constraint
from tunewright.tools.analysis.words import quantity_amount as amount
from tunewright.tools.analysis.words import quantity_name

if TYPE_CHECKING:
    from tunewright.tools.evaluation.group import GroupLoss


_LEAST = 0.01
"""What a limit on losses counts for at least, so that "must not lose" has a share of it too."""


def barred(study: Study, folder: Path, job_id: str, items: Sequence[Item] | None = None) -> str:
    """Why a finished trial may take no place; nothing if it may.

    Args:
        folder: the study's.
        items: by which losses of groups are worked out; by default those that the job left.
    """
    job = study.jobs.get(job_id)
    if study.task is None or job is None or not isinstance(job.outcome, Completed) or job.role == "base":
        return ""
    found = [_passed(one, measured(job.outcome, one.quantity)) for one in study.task.constraints]
    for one in study.task.constraints:
        if one.quantity in GROUP_LOSSES:
            found.append(_lost(study, folder, one, items if items is not None else read_items(folder, job_id)))
    return "; ".join(filter(None, found))


def _passed(limit: Constraint, value: float | None) -> str:
    if value is None or limit.holds(value):
        return ""
    than = "more" if limit.relation == "<=" else "less"
    name, said, allowed = quantity_name(limit.quantity), *(amount(limit.quantity, n) for n in (value, limit.value))
    return f"{name} {said}, {than} than the {allowed} that the brief allows"


def group_excess(study: Study, folder: Path, job_id: str) -> float | None:
    """By how much the worst group of a finished trial passes a limit on losses, as a share of it; see ``ev.Judged``."""
    limits = [one for one in study.task.constraints if one.quantity in GROUP_LOSSES] if study.task is not None else []
    shares = []
    for limit in limits:
        for one in _losses(study, folder, limit, read_items(folder, job_id)):
            share = (one.loss - limit.value) / max(abs(limit.value), _LEAST)
            shares.append(share if one.passes(limit.value) else min(share, 0.0))
    return max(shares, default=None)


def _losses(study: Study, folder: Path, limit: Constraint, items: Sequence[Item]) -> list[GroupLoss]:
    from tunewright.tools.evaluation.group import group_losses
    from tunewright.tools.evaluation.registry import scorer

    assert study.task is not None
    metric, groups = study.task.metric, group_of(folder, GROUP_LOSSES[limit.quantity], items)
    return group_losses(items, read_items(folder, "base"), groups, metric=metric, scorer=scorer(metric.name))


def _lost(study: Study, folder: Path, limit: Constraint, items: Sequence[Item]) -> str:
    losses, kind = _losses(study, folder, limit, items), GROUP_LOSSES[limit.quantity]
    worst = next((one for one in losses if one.passes(limit.value)), None)
    if worst is None:
        return ""
    return (
        f"{kind} {worst.group} loses {worst.loss:.3f} against the base model over {worst.rows} items, more than the "
        f"{limit.value:g} that the brief allows"
    )


def group_of(folder: Path, kind: str, items: Sequence[Item]) -> Mapping[str, str]:
    """Id of a row -> its label, or the name of its source."""
    if kind == "label":
        return {item.id: item.target for item in items}
    from tunewright.tools.data.rows import load_rows

    return {row["id"]: row["source"] for row in load_rows(folder / "data" / "val.jsonl")}
