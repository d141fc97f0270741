"""The receipt: what the gain over the untouched model is made of, and what a language model cost for its part.

How credit is given: the best score so far is followed from the base model to the winner, and each step up is its
proposer's. An idea that derives from another's trial is paid for what it adds to the best of that time, and what its
parent had reached stays the parent's. A recipe that a reviewer edited is the reviewer's whole. The shares add up to the
gain. They are of one run of a study: chance is in them.

The classical arm is what the default and the sampler's own proposals reached by themselves. It is no other study: its
later proposals had seen the planner's trials too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.domain.budget import Cost
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.tools.analysis.answer import gain_shares
from tunewright.tools.analysis.words import amount_words, clock_words

CLASSICAL = frozenset({"default", "brief", "sampler"})
"""Origins that no language model, no rules of a planner and no person had a hand in."""
_NAMES = {"default": "default recipe", "planner": "planner", "reviewer": "reviewer's edits"}


@dataclass(frozen=True)
class Part:
    """What one origin did."""

    origin: str
    trials: int
    cost: Cost
    """Of its trials."""
    gain: float | None
    """Its part of the gain; None where nothing won."""

    @property
    def name(self) -> str:
        return _NAMES.get(self.origin, self.origin)


@dataclass(frozen=True)
class Arm:
    """The classical arm beside all together, at the same cost of trials."""

    cost_s: float
    score: float | None
    """The best of the classical arm, once it had spent that."""
    together: float | None
    """The best of all together, by the time that all had spent as much."""
    whole: float | None
    """The best of all together in the end."""


@dataclass(frozen=True)
class Receipt:
    """See the module."""

    gain: float | None
    """Of the winner over the base model, on validation; None where nothing won."""
    parts: tuple[Part, ...]
    model: Cost
    """What language models cost: tokens and dollars."""
    arm: Arm | None
    """None where nobody but the classical arm proposed anything."""

    @property
    def planned(self) -> Part | None:
        """The planner's part; None where it proposed nothing that was run."""
        return next((one for one in self.parts if one.origin == "planner" and one.trials), None)


def receipt(study: Study) -> Receipt:
    """The receipt, from the journal alone."""
    shares, jobs = gain_shares(study), study.trials
    origins = dict.fromkeys([*shares, *(origin_of(study, job) for job in jobs)])
    parts = []
    for origin in origins:
        own = [job for job in jobs if origin_of(study, job) == origin]
        cost = sum((job.settled for job in own), Cost())
        parts.append(Part(origin, len(own), cost, shares.get(origin, 0.0) if shares else None))
    return Receipt(math.fsum(shares.values()) if shares else None, tuple(parts), study.model_cost, _arm(study))


def origin_of(study: Study, job: JobRecord) -> str:
    """Whose a trial is: an edited one is the reviewer's."""
    return study.recipe_of(job.id).idea.origin


def receipt_lines(study: Study) -> list[str]:
    """The receipt in words, a line each: who gained what, and ``price_lines``."""
    found = receipt(study)
    if found.gain is None:
        return price_lines(study)
    said = [f"{one.name} {one.gain:+.3f}" for one in found.parts if one.gain is not None and one.trials]
    return [f"{found.gain:+.3f} over the base model = {', '.join(said)}", *price_lines(study)]


def price_lines(study: Study) -> list[str]:
    """What a language model cost and bought, and what the classical arm came to; nothing where there is neither."""
    found, lines = receipt(study), []
    bill, planned = _bill(found.model), found.planned
    if bill:
        bought = "nothing that was run" if planned is None else f"{_trials(planned.trials)}"
        gained = f", {planned.gain:+.3f}" if planned is not None and planned.gain is not None else ""
        lines.append(f"language models cost {bill} and bought {bought}{gained}")
    if found.arm is not None and found.arm.score is not None and found.arm.together is not None:
        arm = found.arm
        lines.append(
            f"without planner and reviewer {arm.score:.3f} after {clock_words(arm.cost_s)} of trials; all together "
            f"{arm.together:.3f} after as much, {arm.whole:.3f} in the end"
        )
    return lines


def receipt_rows(study: Study) -> list[tuple[str, ...]]:
    """Who, trials, cost of their trials, part of the gain."""
    rows: list[tuple[str, ...]] = []
    for one in receipt(study).parts:
        gain = "\N{EN DASH}" if one.gain is None else f"{one.gain:+.3f}"
        rows.append((one.name, str(one.trials), clock_words(one.cost.wall_s), gain))
    return rows


def _arm(study: Study) -> Arm | None:
    if all(origin_of(study, job) in CLASSICAL for job in study.trials):
        return None
    done = sorted((job for job in study.trials if job.ended), key=lambda job: (job.ended_at or 0.0, job.launched_at))
    own = [job for job in done if origin_of(study, job) in CLASSICAL]
    cost = math.fsum(job.settled.wall_s for job in own)
    within: list[JobRecord] = []
    spent = 0.0
    for job in done:
        spent += job.settled.wall_s
        if spent > cost + 1e-9:
            break
        within.append(job)
    return Arm(cost, _best(study, own), _best(study, within), _best(study, done))


def _best(study: Study, jobs: Sequence[JobRecord]) -> float | None:
    """The best score among them that may win."""
    sign = study.task.metric.sign if study.task is not None else 1.0
    found = [job.score for job in jobs if job.score is not None and job.id not in study.barred]
    return max(filter(math.isfinite, found), key=lambda score: sign * score, default=None)


def _bill(cost: Cost) -> str:
    said = [amount_words("llm_tokens", cost.llm_tokens)] if cost.llm_tokens else []
    if cost.usd:
        said.append(amount_words("usd", cost.usd) if cost.usd >= 0.01 else f"${cost.usd:.2g}")
    return " and ".join(said)


def _trials(count: int) -> str:
    return f"{count} trial{'' if count == 1 else 's'}"
