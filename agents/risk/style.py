"""How boldly a search is steered, by what is left of its budget and by how long it has gained nothing. Pure code.

TradingGroup's style agent (arXiv 2508.17565) chooses among three; what it goes by is unpublished, so the thresholds are
ours. A style is left later than it is entered, so that it does not flicker.
"""

from __future__ import annotations

from tunewright.domain import event as ev
from tunewright.domain.event import Style
from tunewright.domain.study import Study

EXPLORES, EXPLOITS = 0.6, 0.25
"""Share of the budget left above which a search explores, and below which it exploits."""
BAND = 0.05
"""By how much a threshold is passed back before the style is left."""
STUCK = 6
"""Trials without a gain after which it explores again, while there is budget to use what it finds."""


def style_of(study: Study) -> Style:
    """The style that is in force: the user's, or the last that the journal tells."""
    return study.style if study.options.style == "auto" else study.options.style


def change_of_style(study: Study) -> ev.StyleChanged | None:
    """The change that is due; None if the style stays, or is the user's."""
    if study.options.style != "auto" or study.plan is None:
        return None
    left, drawn = budget_left(study), drawdown(study)
    style = next_style(study.style, left, drawn)
    if style == study.style:
        return None
    since = "no trial has" if drawn == 0 and study.incumbent in (None, "base") else f"{drawn} since the last that"
    reason = f"{100 * left:.0f} % of the budget is left, {since} gained beyond noise"
    return ev.StyleChanged(style=style, reason=reason)


def next_style(now: Style, left: float, drawn: int) -> Style:
    """The style after ``now``.

    Args:
        left: share of the budget, from 0 to 1.
        drawn: trials since the last that gained beyond noise.
    """
    if left <= EXPLOITS + (BAND if now == "exploit" else 0.0):
        return "exploit"
    if left >= EXPLORES - (BAND if now == "explore" else 0.0) or drawn >= STUCK:
        return "explore"
    return "balanced"


def budget_left(study: Study) -> float:
    """Share of the scarcest currency that is left for the search, as of the journal's last event; 1 without a plan.

    Language-model tokens are left out: without them the search goes on.
    """
    if study.plan is None or study.budget is None:
        return 1.0
    whole, left = study.budget.left(study.plan.keep), study.budget.left(study.spent(study.seen_at) + study.plan.keep)
    shares = [left[name] / whole[name] for name in whole if whole[name] > 0 and name != "llm_tokens"]
    return max(0.0, min([1.0, *shares]))


def drawdown(study: Study) -> int:
    """Trials that have ended, or wait at a rung, since the last that took the incumbent's place: beyond noise."""
    last = last_gain(study)
    return sum((job.ended or job.waiting) and job.verdicts_then > last for job in study.trials)


def last_gain(study: Study) -> int:
    """Number of the last verdict that made another incumbent; -1 if none did."""
    before = ["base", *study.incumbents]
    changed = [number for number, now in enumerate(study.incumbents) if now != before[number]]
    return changed[-1] if changed else -1
