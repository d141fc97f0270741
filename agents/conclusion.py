"""How an attempt ended: from what was seen outside, what the job says of itself, and what it had been told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tunewright.domain.budget import Cost
from tunewright.domain.job import Limits
from tunewright.domain.outcome import (
    Completed,
    Failed,
    Fault,
    JobResult,
    Measurement,
    Outcome,
    PartialScore,
    Paused,
    Pruned,
)
from tunewright.domain.protocols import Exit, Steering
from tunewright.domain.record import JobRecord

INFRA_ATTEMPTS = 3
"""A machine's fault is tried again this often before it counts as a failure (it never counts against the recipe)."""


@dataclass
class Orders:
    """Why an attempt was told to end before its end, and what its job has measured last."""

    steering: Steering | None = None
    """The scheduler's ``pause`` or ``stop``."""
    capped: str = ""
    """A cap of the budget."""
    stopped: str = ""
    """A person."""
    last: Measurement | None = None
    partial: PartialScore | None = None
    """Of an end that the scheduler does not let be scored on all rows."""


def conclude(
    limits: Limits, orders: Orders, ended: Exit, result: JobResult | None, cost: Cost, *, tries_left: bool
) -> Outcome:
    """The outcome of an attempt that has ended.

    Args:
        result: what the job left, where it can be trusted.
        tries_left: whether a fault of the machine may be tried again.
    """
    if result is not None and result.status == "done":
        return Completed(result=result, cost=cost)
    if result is not None and result.status == "failed" and result.fault is not None:
        return _fault(result.fault, cost, result, tries_left=tries_left)
    if ended.out_of_memory:
        fault = Fault(kind="memory", message=f"killed at the limit of {limits.memory_gib:.1f} GiB")
        return Failed(fault=fault, cost=cost)
    steered = _steered(orders.steering, orders.last, cost, result, orders.partial)
    if steered is not None:
        return steered
    if orders.stopped and not orders.capped:
        return Paused(reason=orders.stopped, cost=cost, result=result)
    if orders.capped or (result is not None and result.status == "paused"):
        reason = orders.capped or f"took longer than the {limits.wall_s:.0f} s allowed for it"
        return closed(reason, orders.last, cost, result)
    return _fault(_infra(ended), cost, None, tries_left=tries_left)


def recovered(record: JobRecord, result: JobResult | None, cost: Cost) -> Outcome:
    """The outcome of an attempt that was found without the process that had started it."""
    if result is not None and result.status == "done":
        return Completed(result=result, cost=cost)
    told = record.steered[-1] if record.steered and record.steered[-1].at >= record.launched_at else None
    steering = Steering(action=told.action, reason=told.reason) if told is not None else None
    partial = told.partial if told is not None else None
    return _steered(steering, record.last, cost, result, partial) or Paused(
        reason="the process that ran the study died", cost=cost
    )


def closed(reason: str, last: Measurement | None, cost: Cost, result: JobResult | None = None) -> Outcome:
    """The outcome of a job that the budget does not carry to its end: what it has measured counts."""
    if last is not None:
        return Pruned(reason=reason, last=last, cost=cost, result=result)
    return Failed(fault=Fault(kind="budget", message=reason), cost=cost, result=result)


def read_result(out: Path) -> JobResult | None:
    """``result.json`` as the job left it, or None if there is none that can be trusted."""
    try:
        return JobResult.model_validate_json((out / "result.json").read_bytes())
    except (OSError, ValidationError):
        return None


def last_sign_of_life(out: Path) -> float:
    """When the job last wrote something, seconds since the epoch; 0 if it never did."""
    return max((path.stat().st_mtime for path in out.glob("*") if path.is_file()), default=0.0)


def _steered(
    steering: Steering | None,
    last: Measurement | None,
    cost: Cost,
    result: JobResult | None,
    partial: PartialScore | None,
) -> Outcome | None:
    if steering is not None and partial is not None:
        return Pruned(reason=steering.reason, last=partial.measurement, cost=cost, result=result, partial=partial)
    if steering is None or last is None:
        return None
    if steering.action == "pause":
        return Paused(reason=steering.reason, cost=cost, waits="promotion", result=result)
    return Pruned(reason=steering.reason, last=last, cost=cost, result=result)


def _fault(fault: Fault, cost: Cost, result: JobResult | None, *, tries_left: bool) -> Outcome:
    if fault.kind == "infra" and tries_left:
        return Paused(reason=f"infra fault, will be tried again: {fault.message}", cost=cost, fault=fault)
    return Failed(fault=fault, cost=cost, result=result)


def _infra(ended: Exit) -> Fault:
    how = (
        f"exit code {ended.code}" if ended.code is not None else f"signal {ended.signal}" if ended.signal else "no exit"
    )
    said = ended.message.strip().splitlines()
    return Fault(kind="infra", message=f"the job ended without a result ({how}){': ' + said[-1][:300] if said else ''}")
