"""What a study's trials say, rung by rung: the observations that a model of it is fitted to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.search.kernel import Floats
from tunewright.search.pace import Pace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

COST = "cost_s"
"""User attribute of a trial: seconds that it takes to its end, forecast or measured."""

NOISE = "noise"
"""User attribute: step that was reported, as text, or ``0`` for the end -> standard deviation of its score."""

Said = dict[int, "tuple[FrozenTrial, Evidence]"]
"""Identity of a trial -> the trial, which is kept with it, and what it says."""

BRANCH, PARENT = "tree:branch", "tree:parent"
"""System attributes of a trial: why its branch was chosen, and the number of the trial it derives from."""


@dataclass(frozen=True)
class Evidence:
    """One trial."""

    number: int
    params: Mapping[str, Any]
    spaces: Mapping[str, BaseDistribution]
    seen: tuple[tuple[float, float], ...]
    """(place, score) at each rung and at the end, the higher the better. A place is of a ``Pace``, or else the
    share of the rungs, 1 at the end."""
    excess: float | None
    """Of the worst constraint: above zero the recipe is not feasible; None where none is set."""
    cost_s: float | None
    running: bool
    origin: int = 0
    """0 for a trial of this study; what an earlier study found has a number of its own, from 1."""
    end: float = 1.0
    """Place of its end."""
    noises: tuple[float | None, ...] = ()
    """Standard deviation of each score that was seen, by the rows it was measured on; None where nobody said."""

    @property
    def faulty(self) -> bool:
        """Its own fault, or past a limit."""
        return self.excess is not None and self.excess > 0

    @property
    def ended(self) -> bool:
        """Whether its end was seen."""
        return bool(self.seen) and self.seen[-1][0] == self.end


def gather(
    trials: Sequence[FrozenTrial], *, maximise: bool, pace: Pace | None = None, said: Said | None = None
) -> list[Evidence]:
    """What ``trials`` say. Failed ones, of which nobody is to learn, are left out.

    Args:
        pace: without it a rung is told from others by its step alone, and all trials have their ends in common.
        said: what finished trials said before, to which those of this call are added; used with a pace, as without one
            a trial's rungs lie where all trials' rungs make them lie.
    """
    from optuna.trial import TrialState

    kept = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)]
    if pace is None:
        steps = sorted({step for t in kept for step in t.intermediate_values})
        level = {step: (index + 1) / (len(steps) + 1) for index, step in enumerate(steps)}
        return [_evidence(t, maximise, 1.0, level.get) for t in kept]
    known = said if said is not None else {}
    found = []
    for t in kept:
        before = known.get(id(t))
        if before is not None and before[0] is t and before[1].number == t.number:
            found.append(before[1])
            continue
        one = _evidence(t, maximise, pace.at_end(t.params), pace.at_step)
        if t.state.is_finished():
            known[id(t)] = t, one
        found.append(one)
    return found


def _evidence(t: FrozenTrial, maximise: bool, end: float, place: Callable[[int], float | None]) -> Evidence:
    """One trial.

    Args:
        end: place of its end.
        place: of a step that was reported; None where that is none.
    """
    from optuna.trial import TrialState

    sign = 1.0 if maximise else -1.0
    noise = t.user_attrs.get(NOISE, {})
    looks = [
        (at, sign * v, noise.get(str(step)))
        for step, v in sorted(t.intermediate_values.items())
        if math.isfinite(v) and (at := place(step)) is not None and at < end
    ]
    ended = t.state == TrialState.COMPLETE or (t.state == TrialState.PRUNED and not t.intermediate_values)
    if ended and t.value is not None and math.isfinite(t.value):
        looks.append((end, sign * t.value, noise.get("0")))
    excess = max(t.constraints.values(), default=None) if t.constraints else None
    cost = t.user_attrs.get(COST)
    return Evidence(
        t.number,
        t.params,
        t.distributions,
        tuple((at, score) for at, score, _ in looks),
        excess,
        float(cost) if isinstance(cost, int | float) and cost > 0 else None,
        t.state == TrialState.RUNNING,
        end=end,
        noises=tuple(known for *_, known in looks),
    )


def clipped(scores: Floats) -> Floats:
    """Scores with what lies far below the rest brought nearer: a ruined recipe says "not here", and not by how much."""
    low, high = np.quantile(scores, (0.25, 0.75))
    middle = float(np.median(scores))
    return np.maximum(scores, min(middle - 2.5 * max(high - low, 1e-9), high - 1e-9) if high > low else scores)
