"""What a study's trials say, rung by rung: the observations that a model of it is fitted to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.search.surrogate import Floats

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

COST = "cost_s"
"""User attribute of a trial: seconds that it takes to its end, forecast or measured."""

BRANCH, PARENT = "tree:branch", "tree:parent"
"""System attributes of a trial: why its branch was chosen, and the number of the trial it derives from."""


@dataclass(frozen=True)
class Evidence:
    """One trial."""

    number: int
    params: Mapping[str, Any]
    spaces: Mapping[str, BaseDistribution]
    seen: tuple[tuple[float, float], ...]
    """(share, score) at each rung and at the end, the higher the better; share is of the rungs, 1 at the end."""
    excess: float | None
    """Of the worst constraint: above zero the recipe is not feasible; None where none is set."""
    cost_s: float | None
    running: bool
    origin: int = 0
    """0 for a trial of this study; what an earlier study found has a number of its own, from 1."""

    @property
    def faulty(self) -> bool:
        """Its own fault, or past a limit."""
        return self.excess is not None and self.excess > 0


def gather(trials: Sequence[FrozenTrial], *, maximise: bool) -> list[Evidence]:
    """What ``trials`` say. Failed ones, of which nobody is to learn, are left out.

    A rung is told from others by its step alone: trials whose ends lie at other steps have their ends in common.
    """
    from optuna.trial import TrialState

    kept = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)]
    steps = sorted({step for t in kept for step in t.intermediate_values})
    level = {step: (index + 1) / (len(steps) + 1) for index, step in enumerate(steps)}
    sign = 1.0 if maximise else -1.0
    found = []
    for t in kept:
        seen = [(level[s], sign * v) for s, v in sorted(t.intermediate_values.items()) if math.isfinite(v)]
        ended = t.state == TrialState.COMPLETE or (t.state == TrialState.PRUNED and not t.intermediate_values)
        if ended and t.value is not None and math.isfinite(t.value):
            seen.append((1.0, sign * t.value))
        excess = max(t.constraints.values(), default=None) if t.constraints else None
        cost = t.user_attrs.get(COST)
        found.append(
            Evidence(
                t.number,
                t.params,
                t.distributions,
                tuple(seen),
                excess,
                float(cost) if isinstance(cost, int | float) and cost > 0 else None,
                t.state == TrialState.RUNNING,
            )
        )
    return found


def trend(found: Sequence[Evidence]) -> dict[float, float]:
    """Share -> how much is still gained on average from there to the end, by trials that went through both."""
    shares = sorted({share for one in found for share, _ in one.seen} | {1.0})
    gains = {1.0: 0.0}
    for lower, upper in zip(reversed(shares[:-1]), reversed(shares[1:]), strict=True):
        pairs = [dict(one.seen) for one in found]
        steps = [p[upper] - p[lower] for p in pairs if lower in p and upper in p]
        gains[lower] = gains[upper] + (fmean(steps) if steps else 0.0)
    return gains


def clipped(scores: Floats) -> Floats:
    """Scores with what lies far below the rest brought nearer: a ruined recipe says "not here", and not by how much."""
    low, high = np.quantile(scores, (0.25, 0.75))
    middle = float(np.median(scores))
    return np.maximum(scores, min(middle - 2.5 * max(high - low, 1e-9), high - 1e-9) if high > low else scores)
