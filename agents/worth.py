"""Whether a better recipe is worth its longer bill: the rule that lets a second stage win only if it pays.

After arXiv 2606.19266 (CPT before SFT gains little and costs much): a gain has to stand above chance, which the verdict
says, and above the rate that the user set, which is asked here. The rate is ours.
"""

from __future__ import annotations

from tunewright.domain.outcome import Completed, Verdict
from tunewright.domain.study import Study


def not_worth(study: Study, verdict: Verdict) -> str:
    """Why a trial that is better than the incumbent does not take its place; nothing if it does.

    The bill of a trial holds what stages cost that another trial trained for it.
    """
    rate = study.wishes.least_gain_per_hour
    mine, theirs = _bill_s(study, verdict.trial), _bill_s(study, verdict.against)
    if not rate or mine is None or theirs is None or mine <= theirs:
        return ""
    earned = verdict.gain / (mine - theirs) * 3600
    if earned >= rate:
        return ""
    return (
        f"better by {verdict.gain:.3f} for {mine - theirs:.0f} s more, {earned:.3g} an hour; "
        f"the brief asks for {rate:g} an hour"
    )


def _bill_s(study: Study, job_id: str) -> float | None:
    """Seconds that training it takes, or None for what is no finished trial."""
    job = study.jobs.get(job_id)
    if job is None or job.role != "trial" or not isinstance(job.outcome, Completed):
        return None
    return job.settled.wall_s + job.outcome.result.shared_s
