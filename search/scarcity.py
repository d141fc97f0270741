"""How much the cost of an idea weighs: nothing where trials run out first, and less the less is left where time does.

What is cheap is looked at first, and what is best last: a weight that stays at 1 would keep a search among short
recipes to its end (Lee et al. 2020, Cost-aware Bayesian optimization, arXiv 2003.10870, section 4, cost cooling).
"""

from __future__ import annotations

from statistics import fmean

from tunewright.domain.study import Study


def cost_weight(study: Study) -> float:
    """From 0, trials are scarcest or nothing is left, to 1, time or money is scarcest and all of it is left.

    Worked out as of the journal's last event, so that the same study gives the same weight.
    """
    assert study.plan is not None
    budget, now = study.plan.budget, study.seen_at
    whole, left = budget.left(study.plan.keep), budget.left(study.spent(now) + study.plan.keep)
    for found in (whole, left):
        found.pop("llm_tokens", None)
    trials = left.pop("trials", 0.0)
    warmth = min((left[currency] / whole[currency] for currency in left if whole[currency] > 0), default=1.0)
    if budget.trials is None:
        return max(0.0, min(1.0, warmth))
    costs = [job.settled for job in study.trials if job.ended]
    if not left or not trials:
        return 0.0
    shares = []
    for currency, rest in left.items():
        each = fmean(getattr(cost, currency) for cost in costs) if costs else _planned(study, currency)
        shares.append(each * trials / rest if rest > 0 else 1.0)
    return max(0.0, min(1.0, max(shares))) * max(0.0, min(1.0, warmth))


def _planned(study: Study, currency: str) -> float:
    """What the plan expects a trial to cost."""
    assert study.plan is not None
    plan = study.plan
    searched = getattr(plan.expect, currency) - getattr(plan.keep, currency)
    return max(0.0, float(searched)) / max(1, plan.trials[1])
