"""The ledger: may this be launched, and until when may it run. Pure sums over a study; it keeps no state.

Reserve before a launch (``JobLaunched.reserved``), settle after it (``JobEnded``). What the plan keeps
back is out of the search's reach, so that the winner can always be confirmed and tested.

What runs runs side by side, so wall time is one clock for all: a launch has to fit into what is left of it, beside
whatever runs. Devices, dollars and tokens add up: there a launch has to fit into what nobody holds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from tunewright.domain.budget import BY_TIME, Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.study import Study


def refusals(
    study: Study, asked: Cost, *, keep: Cost | None = None, now: float | None = None, idle: bool = False
) -> list[str]:
    """Why ``asked`` cannot be launched, one phrase a currency; empty if the rest of the budget covers it.

    Args:
        asked: the high end of the forecast.
        keep: what must be left afterwards; by default what the plan keeps back.
        now: seconds since the epoch.
        idle: as if what runs ended now, and gave back all that it holds.
    """
    if study.budget is None:
        return ["no budget is set"]
    taken = study.spent(now) if idle else _taken(study, now)
    found = study.budget.shortfalls(taken + _kept(study, keep), asked)
    if study.budget.usd is not None and study.options.prices.usd_per_device_hour is None:
        found.append("usd: the price of a device hour is not known, so a dollar budget cannot be kept")
    return found


def trials_left(study: Study) -> int | None:
    """Trials that the budget has besides those begun and those approved; None where it caps none."""
    most = study.budget.trials if study.budget is not None else None
    return None if most is None else max(0, most - len(study.trials) - len(study.approved))


def wall_left(study: Study, *, keep: Cost | None = None, now: float | None = None) -> float:
    """Seconds the next job may run before the first of wall, device and dollar caps is reached.

    Infinite if none of them is capped.
    """
    if study.budget is None:
        return 0.0
    return _seconds(study, study.budget.left(_taken(study, now) + _kept(study, keep)))


def run_left(
    study: Study, keep: Mapping[str, Cost], *, owed: Mapping[str, Cost], now: float | None = None
) -> dict[str, float]:
    """Running job -> seconds it may still run: what it has reserved, and its share of what nobody has.

    All that run may run so long at once without passing a cap. To be asked again whenever one is launched or ends.

    Args:
        keep: running job -> what must be left when it has ended.
        owed: running job -> what must be left besides, but only of what the job did not reserve.
        now: seconds since the epoch.
    """
    if study.budget is None:
        return dict.fromkeys(keep, 0.0)
    now = time.time() if now is None else now
    taken, count = _taken(study, now), len(study.running)
    found: dict[str, float] = {}
    for job, kept in keep.items():
        held = study.held(study.jobs[job], now)
        most, besides = (
            _seconds(study, _shared(study.budget.left(taken + one), held, count)) for one in (kept, kept + owed[job])
        )
        found[job] = min(most, max(besides, held.wall_s))
    return found


def _shared(free: dict[str, float], held: Cost, count: int) -> dict[str, float]:
    """What a job may take of what is ``free``: of what adds up, what it holds and its share."""
    return free | {name: getattr(held, name) + free[name] / count for name in free if name in ("device_s", "usd")}


def _taken(study: Study, now: float | None) -> Cost:
    """Spent, and held for what runs; of wall time nothing is held, since it is one clock for all."""
    return study.spent(now) + study.reserved(now).model_copy(update={"wall_s": 0.0})


def _seconds(study: Study, left: Mapping[str, float]) -> float:
    """How long one job may run on what is left of each currency."""
    second = study.options.device_cost(1.0)
    return min(
        (left[name] / getattr(second, name) for name in BY_TIME if name in left and getattr(second, name)),
        default=float("inf"),
    )


def _kept(study: Study, keep: Cost | None) -> Cost:
    if keep is not None:
        return keep
    return study.plan.keep if study.plan is not None else Cost()


def require(study: Study, asked: Cost, *, keep: Cost | None = None, now: float | None = None) -> None:
    """Raises:
    BudgetError: ``asked`` does not fit; the message says which currency falls short.
    """
    found = refusals(study, asked, keep=keep, now=now)
    if found:
        raise BudgetError("the budget does not cover it: " + "; ".join(found), "raise the cap in a new study")
