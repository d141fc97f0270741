"""What a trial is measured by besides its metric, and which trials no other beats in all of it at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tunewright.domain.outcome import Completed
from tunewright.domain.task import Goal, TaskSpec

GROUP_LOSSES = {"label_loss": "label", "source_loss": "source"}
"""Quantity -> kind of group: the metric's worst loss against the base model among the rows of one label or source. No
job measures it alone; it is worked out from the items of two."""
NOISY = frozenset({"latency_s", "train_s", "eval_s", "setup_s", "seconds"})
"""Quantities by the clock: what differs by less than ``SAME`` is the same."""
SAME = 0.05


def domain_worth(gains: Sequence[float], weight: float) -> float:
    """The mean gain over domains, less ``weight`` times the loss of the worst where one loses (after NGENT, arXiv
    2504.21433: one model for several domains is to gain in each).

    Args:
        gains: of each domain over the base model, in the metric's good direction.
    """
    return math.fsum(gains) / len(gains) - weight * max(0.0, -min(gains)) if gains else 0.0


def tradeoffs(task: TaskSpec) -> tuple[Goal, ...]:
    """Goals that the metric is weighed against: those that no limit of their own answers already."""
    limited = {limit.quantity for limit in task.constraints}
    return tuple(goal for goal in task.goals if goal.quantity not in limited)


def measured(outcome: Completed, quantity: str) -> float | None:
    """What a finished trial measured: ``latency_s`` (scoring seconds an item), ``seconds`` (all that it took), or any
    number of its result, such as ``adapter_bytes``. None if there is no such number.
    """
    if quantity == "latency_s":
        final = outcome.result.measurement
        return final.seconds / final.rows if final is not None else None
    if quantity == "seconds":
        return outcome.cost.wall_s
    value = getattr(outcome.result, quantity, None)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def standings(task: TaskSpec, trials: Mapping[str, Completed]) -> dict[str, tuple[float, ...]]:
    """Trial -> its score and what it has of each goal, all so that more is better; without those that lack one."""
    found: dict[str, tuple[float, ...]] = {}
    for trial, outcome in trials.items():
        ways = [task.metric.direction, *(goal.direction for goal in task.goals)]
        values = [outcome.score, *(measured(outcome, goal.quantity) for goal in task.goals)]
        signed = [
            value if way == "max" else -value for value, way in zip(values, ways, strict=True) if value is not None
        ]
        if len(signed) == len(ways) and all(map(math.isfinite, signed)):
            found[trial] = tuple(signed)
    return found


def front(points: Mapping[str, tuple[float, ...]]) -> tuple[str, ...]:
    """Those that no other beats: none is as good in everything and better in something (Pareto). More is better."""
    return tuple(
        name
        for name, mine in points.items()
        if not any(_beats(theirs, mine) for other, theirs in points.items() if other != name)
    )


def by_goals(goals: Sequence[Goal], trials: Mapping[str, Completed]) -> list[str]:
    """Trials with the best in the first goal first; those as good by the next goal, and at last in the order given."""
    left = dict(trials)
    ranked: list[str] = []
    while left:
        best = list(left)
        for goal in goals:
            best = _best(goal, {name: left[name] for name in best})
        ranked.append(best[0])
        del left[best[0]]
    return ranked


def _best(goal: Goal, trials: Mapping[str, Completed]) -> list[str]:
    known = {name: value for name, one in trials.items() if (value := measured(one, goal.quantity)) is not None}
    if not known:
        return list(trials)
    top = max(known.values()) if goal.direction == "max" else min(known.values())
    slack = abs(top) * SAME if goal.quantity in NOISY else 0.0
    return [name for name, value in known.items() if abs(value - top) <= slack]


def _beats(mine: tuple[float, ...], theirs: tuple[float, ...]) -> bool:
    return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))
