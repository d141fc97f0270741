"""How many of the trials may be the planner's: from none to three in ten, moved by what its ideas buy for their cost.

A language model is not the optimiser. After the sampler's start-up its ideas compete with the sampler's as two arms of
a bandit, from the journal alone: improvement over the incumbent for each unit of cost, a language model's own bill
among the costs. What an arm is worth begins at what any trial is worth and moves with its record, so that bad advice
starves, and an arm that was starved is tried again once in a while, since the share is of a growing number. Three in
ten is Centaur's (arXiv 2603.24647), where eight in ten did harm; the rule by which it moves is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tunewright.agents.reflection.grade import Grade, budget_share, grades
from tunewright.domain.budget import CURRENCIES
from tunewright.domain.study import Study
from tunewright.search.samplers import startup_trials

MOST = 0.3
"""Of all proposals."""
FADES = 0.95
"""What a trial counts for after one more of its own arm: a record is not forgotten for what the other arm does."""
PRIOR = 1.0
"""Trials that are taken to have been seen of each arm, as good as all together."""
_LEAST = 0.1
"""Improvement that is taken to have been seen, so that nothing is divided by nothing."""


@dataclass(frozen=True)
class Record:
    """What came of one arm."""

    gained: float = 0.0
    """Sum of improvements, each from 0 to 1: tanh(gain / noise) of what beat the incumbent."""
    cost: float = 0.0
    """Sum of costs, in trials of mean cost."""

    def worth(self, prior: float) -> float:
        """Improvement for each unit of cost."""
        return (self.gained + PRIOR * prior) / (self.cost + PRIOR)


def ideas_left(study: Study) -> int:
    """How many of the next proposals may be the planner's: 1 or 0; 0 before the sampler's start-up is over.

    They are spread evenly. What the start-up leaves of the share is not made up for in a row, before any of it is known
    to be of use: the sampler learns most from the trials that follow its start-up.
    """
    if study.plan is None or len(study.proposals) < start_up(study):
        return 0
    origins, part = [proposal.idea.origin for proposal in study.proposals.values()], share(study)
    own, turn = origins.count("planner"), len(origins) + 1
    since = turn - max((at for at, origin in enumerate(origins, 1) if origin == "planner"), default=-math.inf)
    return int(part * turn + 1e-9 >= own + 1 and part * since + 1e-9 >= 1)


def start_up(study: Study) -> int:
    """Trials of the sampler's before any idea of the planner's: its start-up, but for the last trial of a short study,
    which the sampler would draw at random.
    """
    assert study.plan is not None
    most = study.plan.trials[1]
    return min(startup_trials(most), max(1, most - 1))


def share(study: Study) -> float:
    """The share of all proposals that may be the planner's, from 0 to ``MOST``."""
    own, others = records(study)
    both = Record(own.gained + others.gained, own.cost + others.cost)
    prior = (both.gained + _LEAST) / (both.cost + PRIOR)
    return MOST * min(1.0, own.worth(prior) / others.worth(prior))


def records(study: Study) -> tuple[Record, Record]:
    """What came of the planner's ideas and of the sampler's, since its start-up."""
    if study.plan is None:
        return Record(), Record()
    found = _seen(study)
    mean = math.fsum(one.share for one in found) / len(found) if found else 0.0
    later = found[start_up(study) :]
    planned = [one for one in later if _origin(study, one) == "planner"]
    # What was paid to a language model is paid for its ideas: an even part of it for each.
    bill = _bill(study) / len(planned) if planned else 0.0
    own, others = Record(), Record()
    for one in later:
        if one in planned:
            own = _with(own, _allowed(study, one), (one.share + bill) / mean if mean else 1.0)
        elif _origin(study, one) == "sampler":
            others = _with(others, _allowed(study, one), one.share / mean if mean else 1.0)
    return own, others


def _seen(study: Study) -> list[Grade]:
    """Trials that have ended or wait at a rung, in order of launch. What waits has cost and not gained so far: without
    it, advice so bad that it never comes to an end would never be held against the adviser.
    """
    ended = {one.trial: one for one in grades(study)}
    return [
        ended.get(job.id) or Grade(job.id, None, None, None, None, *budget_share(study, job))
        for job in study.trials
        if job.id in ended or job.waiting
    ]


def _allowed(study: Study, grade: Grade) -> Grade:
    """The grade, without a gain where a limit bars the trial."""
    return replace(grade, gain=None) if grade.trial in study.barred else grade


def _with(record: Record, grade: Grade, cost: float) -> Record:
    return Record(FADES * record.gained + improvement(grade), FADES * record.cost + cost)


def improvement(grade: Grade) -> float:
    """From 0 to 1: how far a trial beat the incumbent, against noise."""
    if grade.gain is None or grade.gain <= 0:
        return 0.0
    return math.tanh(grade.gain / grade.eps) if grade.eps else 1.0


def _bill(study: Study) -> float:
    """What language models cost, as a share of the budget: of the currency of which they took most."""
    shares = [
        getattr(study.model_cost, name) / cap
        for name in CURRENCIES
        if name in ("usd", "llm_tokens") and (cap := getattr(study.budget, name, None))
    ]
    return max(shares, default=0.0)


def _origin(study: Study, grade: Grade) -> str:
    return study.recipe_of(grade.trial).idea.origin
