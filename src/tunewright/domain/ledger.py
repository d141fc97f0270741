"""The ledger: may this be launched, and until when may it run. Pure sums over a study; it keeps no state.

Reserve before a launch (``JobLaunched.reserved``), settle after it (``JobEnded``). What the plan keeps
back is out of the search's reach, so that the winner can always be confirmed and tested.
"""

from __future__ import annotations

from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.study import Study


def refusals(study: Study, asked: Cost, *, keep: Cost | None = None, now: float | None = None) -> list[str]:
    """Why ``asked`` cannot be launched, one phrase a currency; empty if the rest of the budget covers it.

    Args:
        asked: the high end of the forecast.
        keep: what must be left afterwards; by default what the plan keeps back.
        now: seconds since the epoch.
    """
    if study.budget is None:
        return ["no budget is set"]
    if keep is None:
        keep = study.plan.keep if study.plan is not None else Cost()
    taken = study.spent(now) + study.reserved(now) + keep
    found = study.budget.shortfalls(taken, asked)
    if study.budget.usd is not None and study.options.prices.usd_per_device_hour is None:
        found.append("usd: the price of a device hour is not known, so a dollar budget cannot be kept")
    return found


def wall_left(study: Study, *, keep: Cost | None = None, now: float | None = None) -> float:
    """Seconds the next job may run before the first of wall, device and dollar caps is reached.

    Infinite if none of them is capped.
    """
    if study.budget is None:
        return 0.0
    if keep is None:
        keep = study.plan.keep if study.plan is not None else Cost()
    left = study.budget.left(study.spent(now) + study.reserved(now) + keep)
    seconds = [left[name] for name in ("wall_s", "device_s") if name in left]
    price = study.options.prices.usd_per_device_hour
    if "usd" in left and price:
        seconds.append(left["usd"] / price * 3600)
    return min(seconds, default=float("inf"))


def require(study: Study, asked: Cost, *, keep: Cost | None = None, now: float | None = None) -> None:
    """Raises:
    BudgetError: ``asked`` does not fit; the message says which currency falls short.
    """
    found = refusals(study, asked, keep=keep, now=now)
    if found:
        raise BudgetError("the budget does not cover it: " + "; ".join(found), "raise the cap in a new study")
