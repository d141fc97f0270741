"""How much the cost of an idea weighs: nothing where trials run out first, all where time does."""

from __future__ import annotations

from statistics import fmean

from tunewright.domain.study import Study


def cost_weight(study: Study) -> float:
    """From 0, trials are scarcest, to 1, time or money is: what the trials to come would cost, of what is left.

    Worked out as of the journal's last event, so that the same study gives the same weight.
    """
    assert study.plan is not None
    budget, now = study.plan.budget, study.seen_at
    if budget.trials is None:
        return 1.0
    left = budget.left(study.spent(now) + study.plan.keep)
    trials = left.pop("trials", 0.0)
    left.pop("llm_tokens", None)
    costs = [job.settled for job in study.trials if job.ended]
    if not left or not trials:
        return 0.0
    shares = []
    for currency, rest in left.items():
        each = fmean(getattr(cost, currency) for cost in costs) if costs else _planned(study, currency)
        shares.append(each * trials / rest if rest > 0 else 1.0)
    return min(1.0, max(shares))


def _planned(study: Study, currency: str) -> float:
    """What the plan expects a trial to cost."""
    assert study.plan is not None
    plan = study.plan
    searched = getattr(plan.expect, currency) - getattr(plan.keep, currency)
    return max(0.0, float(searched)) / max(1, plan.trials[1])
