"""By how much a trial passes the limits of its brief: what the sampler is told, so that it searches where they hold."""

from __future__ import annotations

from tunewright.domain.goal import GROUP_LOSSES, measured
from tunewright.domain.outcome import Completed, JobResult, Outcome
from tunewright.domain.study import Study
from tunewright.domain.task import Constraint


def excess(study: Study, id: str) -> float | None:
    """Of the limit that is passed most, as a share of it: above zero is too much. None if none can be checked.

    What a group loses is known once the trial is judged.
    """
    job = study.jobs.get(id)
    outcome = job.outcome if job is not None else None
    constraints = study.task.constraints if study.task is not None else ()
    shares = [_share(one, outcome) for one in constraints if one.quantity not in GROUP_LOSSES]
    shares.append(job.group_excess if job is not None else None)
    result = getattr(outcome, "result", None)
    if study.options.memory_gib and isinstance(result, JobResult) and result.peak_memory_gib:
        shares.append(result.peak_memory_gib / study.options.memory_gib - 1)
    return max((share for share in shares if share is not None), default=None)


def _share(limit: Constraint, outcome: Outcome | None) -> float | None:
    value = _value(outcome, limit.quantity)
    if value is None:
        return None
    over = value - limit.value if limit.relation == "<=" else limit.value - value
    return over / max(abs(limit.value), 1e-12)


def _value(outcome: Outcome | None, quantity: str) -> float | None:
    """What was measured; of a trial that did not come to its end what it knows already, where that is not nothing."""
    if isinstance(outcome, Completed):
        return measured(outcome, quantity)
    value = getattr(getattr(outcome, "result", None), quantity, None)
    return float(value) if isinstance(value, int | float) and value else None
