"""What each proposal is expected to gain, and how well each forecaster's word was kept.

Every proposal has a forecast by the search's surrogate, or, while that knows too little, by how often trials have
gained so far; who proposes may add their own. All are kept, one counts, and all are graded when the trial has ended
(TradingGroup, arXiv 2508.17565, for the weighted hit; Brier 1950, Verification of forecasts expressed in terms of
probability). A forecast decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from tunewright.agents.reflection.grade import Grade, grades, weighted_hit
from tunewright.domain import event as ev
from tunewright.domain.proposal import Hope, Idea, Proposal
from tunewright.domain.study import Study
from tunewright.search.expecting import SURROGATE, Expecting

BASE_RATE = "base rate"
TRUSTED = 5
"""Graded forecasts before a forecaster's record is looked at."""


@dataclass(frozen=True)
class Calibration:
    """How well one forecaster's word was kept, over trials that have ended."""

    by: str
    graded: int
    brier: float
    """Mean squared difference between the chance told and what happened; 0 is perfect, 0.25 is "one in two" always."""
    hit_rate: float
    """Share in which what was held likelier came to be."""
    weighted_hit: float | None
    """Mean, from -1 to 1; None where no trial has a gain to compare."""
    counted: int
    """In how many its word was the one that counted."""


class Forecaster:
    """Says what proposals are expected to gain. Learns from the study alone."""

    def __init__(self) -> None:
        self._surrogate = Expecting()

    def __call__(self, study: Study, proposals: Sequence[Proposal], instead: Idea | None = None) -> list[ev.Forecasted]:
        """One a proposal; none while nothing has a score to gain on.

        Args:
            instead: what the sampler would have proposed in the place of somebody else's ideas.
        """
        found = incumbent(study)
        if found is None or study.plan is None:
            return []
        against, score = found
        recipes = [one.recipe for one in proposals] + ([instead.recipe] if instead is not None else [])
        expected = self._surrogate(study, recipes, score)
        rate, records = base_rate(study), calibrations(study)
        told = []
        for proposal, own in zip(proposals, expected, strict=False):
            said = proposal.idea.hope
            hopes = tuple(one for one in (own or rate, said) if one is not None)
            other = instead if proposal.idea.origin == "planner" else None
            told.append(
                ev.Forecasted(
                    trial=proposal.id,
                    against=against,
                    hopes=hopes,
                    counted=counts(hopes, records),
                    instead=other,
                    instead_hope=(expected[-1] or rate) if other is not None else None,
                )
            )
        return told


def incumbent(study: Study) -> tuple[str, float] | None:
    """The job to gain on and its score: the incumbent, or else the base model; None while that has none."""
    job = study.jobs.get(study.incumbent or "base")
    return None if job is None or job.score is None else (job.id, job.score)


def base_rate(study: Study) -> Hope:
    """What is expected of any trial: the middle gain so far, and how often there was one (rule of succession)."""
    gains = [one.gain for one in grades(study) if one.gain is not None]
    ended = sum(job.ended for job in study.trials)
    chance = (sum(gain > 0 for gain in gains) + 1) / (ended + 2)
    return Hope(gain=median(gains) if gains else 0.0, chance=chance, by=BASE_RATE)


def counts(hopes: Sequence[Hope], records: Sequence[Calibration]) -> str:
    """By whom is the forecast that counts: the one with the least Brier score, or the first of ``hopes`` in a tie or
    where one of them has no record that can be looked at.
    """
    known = {one.by: one.brier for one in records if one.graded >= TRUSTED}
    first = hopes[0].by
    if not all(one.by in known for one in hopes):
        return first
    return min(hopes, key=lambda one: (known[one.by], one.by != first)).by


def calibrations(study: Study) -> list[Calibration]:
    """Every forecaster's record, those with the most graded forecasts first."""
    graded: dict[str, list[tuple[Hope, Grade, bool]]] = defaultdict(list)
    for one in grades(study):
        told = study.forecasts.get(one.trial)
        for hope in told.hopes if told is not None else ():
            graded[hope.by].append((hope, one, told is not None and told.counted == hope.by))
    found = [_calibration(by, rows) for by, rows in graded.items()]
    return sorted(found, key=lambda one: (-one.graded, one.by))


def hit_of(hope: Hope, grade: Grade) -> float | None:
    """The weighted hit of one forecast; None where the trial has no gain to compare with it."""
    if grade.gain is not None and grade.eps is not None:
        return weighted_hit(hope, grade.gain, grade.eps)
    return weighted_hit(hope, -1.0, 0.0) if grade.lost else None  # it failed by its own fault


def _calibration(by: str, rows: Sequence[tuple[Hope, Grade, bool]]) -> Calibration:
    came = [grade.gain is not None and grade.gain > 0 for _, grade, _ in rows]
    hits = [hit for hope, grade, _ in rows if (hit := hit_of(hope, grade)) is not None]
    return Calibration(
        by=by,
        graded=len(rows),
        brier=fmean((hope.chance - yes) ** 2 for (hope, _, _), yes in zip(rows, came, strict=True)),
        hit_rate=fmean((hope.chance >= 0.5) == yes for (hope, _, _), yes in zip(rows, came, strict=True)),
        weighted_hit=fmean(hits) if hits else None,
        counted=sum(counted for *_, counted in rows),
    )


__all__ = ["BASE_RATE", "SURROGATE", "Calibration", "Forecaster", "base_rate", "calibrations", "counts", "incumbent"]
