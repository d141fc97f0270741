"""The outcome grader: how a trial did, from the journal up to its end alone. Pure code; nobody's opinion counts.

A grade never changes with what happens later: incumbent, noise and rungs are those of the trial's own end, and of what
follows only its own verdict against that incumbent counts, which looks at the same items. The weighted hit of a
forecast is TradingGroup's (arXiv 2508.17565) as a replication audit gives it: sign right or wrong, times
tanh(|gain| / eps), times the probability. Which sign of trouble counts from where on is ours.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from statistics import median
from typing import Literal
from weakref import WeakKeyDictionary

from tunewright.domain.budget import CURRENCIES, Budget
from tunewright.domain.goal import measured
from tunewright.domain.outcome import Answer, Completed, Failed, Measurement
from tunewright.domain.proposal import Hope, Idea
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study

Trouble = Literal[
    "config", "data", "memory", "infra", "budget",
    "diverged", "overfitted", "below base", "rising", "stopped", "no gain",
]  # fmt: skip
"""The first five are kinds of faults. ``diverged``: its loss or its policy broke down on the way. ``overfitted``: an
earlier rung was better than its end by more than noise. ``below base``: worse than the untouched model by more than
noise. ``rising``: it was still getting better when it ended. ``stopped``: the scheduler ended it. ``no gain``: not
better than the incumbent by more than noise."""
_ANSWERS = {"better": "better", "worse": "worse", "undecided": "not told apart"}
RECIPE_FAULTS = frozenset({"config", "memory", "diverged", "overfitted", "below base"})
"""Those that are the recipe's own doing."""

_BROKE = re.compile(r"loss is -?(nan|inf)|rollouts in a row", re.IGNORECASE)
_known: WeakKeyDictionary[Study, dict[tuple[str, bool], Grade]] = WeakKeyDictionary()
"""Study -> trial, and whether it was judged by then -> its grade, which never changes."""
_KEEPS_RISING = 0.5
"""Share of its former pace, in score a doubling of steps, above which a curve is still rising at its end."""


@dataclass(frozen=True)
class Grade:
    """How one ended trial did."""

    trial: str
    against: str | None
    """The incumbent when it ended: a job's id. None where the base model had no score yet."""
    score: float | None
    """At its end; estimated if that was scored in part."""
    gain: float | None
    """Over ``against``, in the metric's good direction. None where either has no score."""
    eps: float | None
    """What two scores had to differ by to be told apart, as far as was known then. None: nobody knew."""
    share: float
    """Of the budget: of the currency of which it took the largest part of the cap."""
    currency: str | None
    """That currency; None if nothing is capped."""
    troubles: tuple[Trouble, ...] = ()
    """Everything that was amiss, the gravest first."""
    hit: float | None = None
    """How its forecast did, from -p to p; None where it had none, or where what happened says nothing of it."""
    refuted: bool | None = None
    """Whether its hypothesis was refuted; None where it had none, or where it was not put to the test."""
    answer: Answer | None = None
    """The evaluator's, of the trial against ``against``, item by item; None before there is one."""

    @property
    def trouble(self) -> Trouble | None:
        """The gravest."""
        return self.troubles[0] if self.troubles else None

    @property
    def gained(self) -> bool:
        """Whether it beat the incumbent by more than noise."""
        return _gained(self.gain, self.eps, self.answer)

    @property
    def lost(self) -> bool:
        """Whether it fell behind the incumbent by more than noise, or failed by its own fault."""
        behind = self.gain is not None and self.eps is not None and self.gain < -self.eps
        if self.answer is not None:
            behind = self.answer == "worse"
        return behind or any(one in ("config", "memory", "diverged") for one in self.troubles)

    def says(self, *, cost: bool = True) -> str:
        """Such as ``+0.031 over t0, better item by item (noise 0.030), 8 % of wall_s, no trouble``."""
        gain = "no score to compare" if self.gain is None else f"{self.gain:+.3f} over {self.against}"
        gain += "" if self.answer is None else f", {_ANSWERS[self.answer]} item by item"
        noise = "" if self.eps is None else f" (noise {self.eps:.3f})"
        trouble = ", ".join(self.troubles) or "no trouble"
        hit = "" if self.hit is None else f"; forecast hit {self.hit:+.2f}"
        refuted = {None: "", True: "; hypothesis refuted", False: "; hypothesis stands"}[self.refuted]
        share = f", {100 * self.share:.0f} % of {self.currency}" if cost and self.currency is not None else ""
        return f"{gain}{noise}{share}, {trouble}{hit}{refuted}"


def grades(study: Study) -> list[Grade]:
    """Of every trial that has ended, in order of launch."""
    known = _known.setdefault(study, {})
    found = []
    for job in study.trials:
        if not job.ended:
            continue
        key = (job.id, job.id in study.judged)
        if key not in known:
            known[key] = grade(study, job.id)
        found.append(known[key])
    return found


def grade(study: Study, trial: str) -> Grade:
    """How a trial did. The same for every journal that begins with the events up to the trial's verdict, or up to its
    end where it has none.

    Raises:
        KeyError: there is no such job.
        ValueError: it has not ended.
    """
    job = study.jobs[trial]
    if not job.ended:
        raise ValueError(f"{trial} has not ended")
    against = incumbent_then(study, job)
    theirs = study.jobs[against].score if against is not None else None
    score, eps = job.estimate, noise_then(study, job)
    gain = study.task.metric.gain(score, theirs) if study.task and score is not None and theirs is not None else None
    gain = gain if gain is not None and math.isfinite(gain) else None
    share, currency = budget_share(study, job)
    answer = _answer(study, job, against)
    troubles = _troubles(study, job, gain, eps, answer)
    idea = _own_idea(study, trial)
    hope = idea.hope if idea is not None else None
    return Grade(
        trial=trial,
        against=against,
        score=score,
        gain=gain,
        eps=eps,
        share=share,
        currency=currency,
        troubles=troubles,
        hit=_hit(hope, gain, eps, troubles) if hope is not None else None,
        refuted=refuted(study, trial),
        answer=answer,
    )


def weighted_hit(hope: Hope, gain: float, eps: float) -> float:
    """How a forecast did: ``p * tanh(|gain| / eps)`` where the sign is right, minus that where it is wrong.

    ``p`` is what the forecast gives to its own sign: ``chance`` for a gain, the rest for a loss. A gain of nothing at
    all is neither right nor wrong.

    Args:
        gain: what it was, in the metric's good direction.
        eps: what two scores have to differ by to be told apart.
    """
    p = hope.chance if hope.gain > 0 else 1 - hope.chance
    weight = p * (math.tanh(abs(gain) / eps) if eps > 0 else float(gain != 0))
    return weight if (hope.gain > 0) == (gain > 0) else -weight


def refuted(study: Study, trial: str) -> bool | None:
    """Whether a trial's hypothesis was refuted. None where it has none, or where something that it names was not
    measured by the time the trial ended."""
    job, idea = study.jobs[trial], _own_idea(study, trial)
    hypothesis = idea.hypothesis if idea is not None else None
    if hypothesis is None or not job.ended:
        return None
    test = hypothesis.refuted_if
    mine = _quantity(job, test.quantity)
    if test.quantity in ("gain", "score") and isinstance(job.outcome, Failed) and study.task is not None:
        # By its own fault it has missed any gain; a fault of the machine says nothing.
        own = job.outcome.fault.kind in ("config", "memory")
        worst = -math.inf * (1 if test.quantity == "gain" else study.task.metric.sign)
        return test.met(worst) if own else None
    if test.trial is None:
        return None if mine is None or test.quantity == "gain" else test.met(mine)
    other = study.jobs.get(test.trial)
    if other is None or mine is None or study.task is None or not _ended_before(other, job):
        return None
    theirs = _quantity(other, test.quantity)
    if theirs is None:
        return None
    return test.met(study.task.metric.gain(mine, theirs) if test.quantity == "gain" else mine - theirs)


def incumbent_then(study: Study, job: JobRecord) -> str | None:
    """The incumbent when a job ended: the last verdict's of that time, else the base model; None if it has no score."""
    if job.verdicts_then:
        return study.incumbents[job.verdicts_then - 1]
    base = study.base
    return "base" if base is not None and base.score is not None and base is not job else None


def _answer(study: Study, job: JobRecord, against: str | None) -> Answer | None:
    """The evaluator's, where it held the trial against the same incumbent."""
    if job.id not in study.judged:
        return None
    verdict = next(one for one in study.verdicts[job.verdicts_then :] if one.trial == job.id)
    return verdict.answer if verdict.against == against else None


def noise_then(study: Study, job: JobRecord) -> float | None:
    """What two scores had to differ by when a job ended: the median half width of the verdicts of that time; before the
    first, that of a difference of two scores like its own, as if their items were others. None if neither is known.
    """
    widths = [(verdict.high - verdict.low) / 2 for verdict in study.verdicts[: job.verdicts_then]]
    if widths:
        return median(widths)
    known = [final for one in (job, study.base) if one is not None and (final := _final(one)) is not None]
    half = [(one.high - one.low) / 2 for one in known if one.low is not None and one.high is not None]
    return math.sqrt(2) * half[0] if half else None


def rung_noise(eps: float, end: Measurement, rung: Measurement) -> float:
    """What a rung's score has to differ by from the end's: more, where it was measured on fewer rows."""
    return eps * math.sqrt(max(1.0, end.rows / rung.rows))


def _hit(hope: Hope, gain: float | None, eps: float | None, troubles: tuple[Trouble, ...]) -> float | None:
    if any(one in ("config", "memory", "diverged") for one in troubles):
        return weighted_hit(hope, -math.inf, 1.0)  # it missed all of the gain
    return weighted_hit(hope, gain, eps) if gain is not None and eps is not None else None


def _own_idea(study: Study, trial: str) -> Idea | None:
    """The idea that a trial was proposed with; None where a reviewer made another recipe of it."""
    if trial not in study.proposals or study.recipe_of(trial).idea.origin == "reviewer":
        return None
    return study.proposals[trial].idea


def _quantity(job: JobRecord, quantity: str) -> float | None:
    if quantity in ("gain", "score"):
        return job.estimate
    return measured(job.outcome, quantity) if isinstance(job.outcome, Completed) else None


def _ended_before(one: JobRecord, other: JobRecord) -> bool:
    return one.ended and one.ended_at is not None and other.ended_at is not None and one.ended_at <= other.ended_at


def budget_share(study: Study, job: JobRecord) -> tuple[float, str | None]:
    """Of the budget, what a job took so far: of the currency of which it took the largest part; and that currency."""
    budget = study.budget
    shares = {name: _taken(job, name, study.options.slots) / cap for name, cap in _caps(budget)} if budget else {}
    scarcest = max(shares, key=lambda name: shares[name], default=None)
    return (shares[scarcest] if scarcest is not None else 0.0), scarcest


def _caps(budget: Budget) -> list[tuple[str, float]]:
    return [(name, cap) for name in CURRENCIES if (cap := getattr(budget, name)) is not None]


def _taken(job: JobRecord, currency: str, slots: int) -> float:
    """Wall time is one clock for all that run side by side."""
    if currency == "trials":
        return float(job.role == "trial")
    amount = float(getattr(job.settled, currency))
    return amount / slots if currency == "wall_s" else amount


def _troubles(
    study: Study, job: JobRecord, gain: float | None, eps: float | None, answer: Answer | None
) -> tuple[Trouble, ...]:
    if isinstance(job.outcome, Failed):
        fault = job.outcome.fault
        broke = fault.kind == "config" and (fault.step or 0) > 0 and _BROKE.search(fault.message)
        return ("diverged",) if broke else (fault.kind,)
    found: list[Trouble] = []
    final = _final(job)
    if final is not None and eps is not None and study.task is not None:
        sign = study.task.metric.sign
        base = study.base.score if study.base is not None and study.base is not job else None
        if not math.isfinite(final.value):
            return ("diverged",)
        rungs = [one for one in job.measurements if one.step < final.step and math.isfinite(one.value)]
        if any(sign * (one.value - final.value) > rung_noise(eps, final, one) for one in rungs):
            found.append("overfitted")
        if base is not None and sign * (base - final.value) > eps:
            found.append("below base")
        if _rising([*rungs, final], sign, eps):
            found.append("rising")
    if not isinstance(job.outcome, Completed):
        found.append("stopped")
    if not _gained(gain, eps, answer):
        found.append("no gain")
    return tuple(found)


def _gained(gain: float | None, eps: float | None, answer: Answer | None) -> bool:
    if answer is not None:
        return answer == "better"
    return gain is not None and eps is not None and gain > eps


def _rising(curve: list[Measurement], sign: float, eps: float) -> bool:
    """Whether the last part of a curve gained more than noise, and at no less than half the pace of the part before."""
    points = sorted(curve, key=lambda one: one.step)
    if len(points) < 2 or points[-2].step <= 0:
        return False
    before, rung, end = points[-3] if len(points) > 2 else None, points[-2], points[-1]
    last = sign * (end.value - rung.value)
    if last <= rung_noise(eps, end, rung):
        return False
    if before is None or before.step <= 0:
        return 2 * rung.step >= end.step
    pace = last / math.log(end.step / rung.step)
    return pace >= _KEEPS_RISING * sign * (rung.value - before.value) / math.log(rung.step / before.step)


def _final(job: JobRecord) -> Measurement | None:
    return job.outcome.result.measurement if isinstance(job.outcome, Completed) else None
