"""The optimisation critic: did it break down, was it too short, does the rate that matters most want to move."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.critics.critic import Critic
from tunewright.agents.reflection.levers import LENGTH, LR
from tunewright.agents.reflection.rules import KIND
from tunewright.agents.reflection.rules import LR as LR_PATH
from tunewright.domain.finding import Finding
from tunewright.domain.space import is_number
from tunewright.tools.analysis.words import number_words

ROLE = "critic.optimisation"
_COOLER = 1 / 3
"""Of a rate at which a run broke down, where none is known that held."""
_FURTHER = 3.0
"""Times the rate, past the best one where no neighbour is known on that side: half a decade, as in most grids."""
_CLOSE = 1.7
"""Times the rate, from where on a difference of rates is worth a trial: smaller ones are lost in the noise."""
_LONGER = 1.5
_NEAR = 3.0
"""Times the noise that a trial may be behind and still be worth more steps."""


def find(case: Case) -> Finding | None:
    """A lower rate after a breakdown, more steps for a curve that was rising, else the next rate to try."""
    return _broke(case) or _short(case) or _rate(case)


def facts(case: Case) -> list[str]:
    """Curves and what settings are worth."""
    found = [f"{trial}: {case.grades[trial].says(cost=False)}; rungs {_curve(case, trial)}" for trial in case.shown]
    if case.shares:
        said = ", ".join(f"{path} {share:.2f}" for path, share in list(case.shares.items())[:6])
        found.append(f"share of the score's variance: {said}")
    return found


def _broke(case: Case) -> Finding | None:
    trial = case.newest("diverged")
    lever = case.lever(trial, LR) if trial is not None else None
    if trial is None or lever is None or not is_number(lever.value):
        return None
    kind, rate = case.by_id[trial].get(KIND), float(lever.value)
    held = [
        (float(one.get(lever.path)), one.id)
        for one in case.ranked
        if one.get(KIND) == kind and is_number(one.get(lever.path)) and float(one.get(lever.path)) < rate
    ]
    best = max(held, default=None)
    # Halfway in the logarithm: the best rate is often near the highest that holds.
    cooler = lever.times(math.sqrt(best[0] / rate) if best else _COOLER)
    if cooler is None:
        return None
    known = f"; {number_words(best[0])} held ({best[1]})" if best else ""
    return Finding(
        by=ROLE,
        trials=(trial,),
        says=f"{trial} broke down at a learning rate of {number_words(rate)}{known}; "
        f"{number_words(cooler)} lies between",
        cause="learning rate too high",
        evidence=case.cite((trial, *([best[1]] if best else [])), lever.path, "score", "fault"),
        weight=0.9,
        edits={lever.path: cooler},
        parent=trial,
    )


def _short(case: Case) -> Finding | None:
    trial = case.newest("rising")
    grade = case.grades[trial] if trial is not None else None
    lever = case.lever(trial, LENGTH) if trial is not None else None
    longer = lever.times(_LONGER) if lever is not None else None
    if trial is None or grade is None or lever is None or longer is None:
        return None
    near = grade.gain is not None and grade.eps is not None and grade.gain > -_NEAR * grade.eps
    steps = _rungs(case, trial)
    last = steps[-1][1] if steps else None
    if not near or last is None:
        return None
    word = "epochs" if lever.path.endswith("epochs") else "steps"
    return Finding(
        by=ROLE,
        trials=(trial,),
        says=f"{trial} was still rising when it ended, from {last:.3f} at its last rung to {grade.score or 0:.3f}: "
        f"{number_words(longer)} {word} in the place of {number_words(lever.value)}",
        cause="too few passes",
        evidence=case.cite((trial,), "score", f"rung.{steps[-1][0]}", lever.path),
        weight=0.6,
        edits={lever.path: longer},
        parent=trial,
    )


def _rate(case: Case) -> Finding | None:
    """From the incumbent towards its better neighbour in rate, or past it where there is none on one side."""
    if case.parent is None:
        return None
    mine, lever = case.by_id[case.parent], case.lever(case.parent, LR)
    if lever is None or not is_number(lever.value) or mine.score is None:
        return None
    here, kind = float(lever.value), mine.get(KIND)
    others = [one for one in case.ranked if one.get(KIND) == kind and one.id != mine.id]
    rated = [(float(rate), one) for one in others if is_number(rate := one.get(lever.path))]
    above = min((pair for pair in rated if pair[0] > here), key=lambda pair: pair[0], default=None)
    below = max((pair for pair in rated if pair[0] < here), key=lambda pair: pair[0], default=None)
    if above is None or below is None:
        seen = above or below
        up = above is None if seen is None else (seen is above) == (case.sign * ((seen[1].score or 0) - mine.score) > 0)
        factor = _FURTHER if up else 1 / _FURTHER
    else:
        side = above if case.sign * ((above[1].score or 0.0) - (below[1].score or 0.0)) > 0 else below
        factor, seen = math.sqrt(side[0] / here), side
    moved = lever.times(factor)
    if moved is None or max(float(moved) / here, here / float(moved)) < _CLOSE:
        return None
    share = case.shares.get(lever.path, 0.0)
    beside = "no other rate was tried"
    if seen is not None:
        beside = f"{seen[1].id} at {number_words(seen[0])} reached {seen[1].score:.3f}"
    matters = f"; it makes {share:.2f} of the score's variance" if share else ""
    return Finding(
        by=ROLE,
        trials=(case.parent,),
        says=f"the best trial's rate of {number_words(here)} ({case.parent}) has room to move: {beside}{matters}; "
        f"{number_words(moved)} is next",
        cause="learning rate not settled",
        evidence=case.cite((case.parent, *([seen[1].id] if seen else [])), lever.path, "score"),
        weight=round(0.3 + 0.3 * min(1.0, share), 2),
        edits={lever.path: moved},
    )


def _rungs(case: Case, trial: str) -> Sequence[tuple[int, float]]:
    return sorted((one.step, one.value) for one in case.study.jobs[trial].measurements)


def _curve(case: Case, trial: str) -> str:
    points = ", ".join(f"{value:.3f} at {step}" for step, value in _rungs(case, trial))
    rate = case.by_id[trial].get(LR_PATH)
    return (points or "none") + (f"; lr {number_words(rate)}" if rate is not None else "")


CRITIC = Critic(ROLE, "critic_optimisation", find, facts)
