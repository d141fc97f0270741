"""Why an idea is worth a run, in one line, from facts: what was not tried yet, or which trial it is near.

A sampler does not say why. What can be said truly is where its idea lies among the trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tunewright.domain.frozen import Json
from tunewright.domain.path import label
from tunewright.domain.space import Assignment, Choice, Dimension, Float, Int, Space
from tunewright.search.history import Entry

NEAR = 0.35
"""Mean distance over dimensions, each from 0 (the same) to 1 (across its whole range), up to which it is near."""
NAMED = 3
"""Differences named in a reason."""


def reason(
    prefix: str,
    space: Space,
    point: Assignment,
    entries: Sequence[Entry],
    scores: Mapping[str, float],
    *,
    branch: str = "",
) -> tuple[str, str | None]:
    """One line that is never empty, and the trial it is derived from if it is near one.

    Args:
        prefix: who has the idea, such as ``tpe``.
        entries: what was proposed before, this batch left out.
        scores: of completed trials.
        branch: why this part of the space was chosen, where the sampler says so.
    """
    untried = _untried(space, point, entries)
    if untried:
        return f"{prefix}: {untried} has not been tried", None
    prefix, sign = (f"{prefix}: {branch}", ";") if branch else (prefix, ":")
    near = _nearest(space, point, [entry for entry in entries if entry.id in scores])
    if near is None:
        return f"{prefix}{sign} drawn before any trial has a score", None
    entry, distance = near
    where = f"{entry.id} ({scores[entry.id]:.3f})"
    if distance > NEAR:
        return f"{prefix}{sign} far from every scored trial; the nearest is {where}", None
    return f"{prefix}{sign} near {where}, {_changes(space, point, entry.point or {})}", entry.id


def _untried(space: Space, point: Assignment, entries: Sequence[Entry]) -> str:
    """The first choice in the space's order that no proposal had."""
    for dimension in space.active(point):
        if isinstance(dimension, Choice) and len(dimension.options) > 1:
            value = point[dimension.name]
            if all(entry.point is None or entry.point.get(dimension.name) != value for entry in entries):
                return str(value) if dimension.path.endswith("kind") else f"{label(dimension.path)} {_said(value)}"
    return ""


def _nearest(space: Space, point: Assignment, entries: Sequence[Entry]) -> tuple[Entry, float] | None:
    active = space.active(point)
    found: tuple[Entry, float] | None = None
    for entry in entries:
        if entry.point is not None:
            distance = _distance(active, point, entry.point, beyond=found[1] if found else math.inf)
            if found is None or distance < found[1]:
                found = entry, distance
    return found


def _distance(active: Sequence[Dimension], point: Assignment, other: Assignment, *, beyond: float) -> float:
    """The mean over dimensions; what is known to be farther than ``beyond`` is not measured to its end."""
    apart, count = 0.0, max(1, len(active))
    for dimension in active:
        name = dimension.name
        apart += _apart(dimension, point[name], other[name]) if name in other else 1.0
        if apart / count > beyond:
            break
    return apart / count


def _apart(dimension: Dimension, a: Json, b: Json) -> float:
    match dimension:
        case Float() | Int():
            low, high = dimension.low, dimension.high
            if high == low:
                return 0.0
            if dimension.log:
                return abs(math.log(a / b)) / math.log(high / low)
            return float(abs(a - b) / (high - low))
        case Choice():
            return 0.0 if a == b else 1.0
        case _:
            return float(sum(abs(x - y) for x, y in zip(a, b, strict=True)) / 2)


def _changes(space: Space, point: Assignment, other: Assignment) -> str:
    changes: list[tuple[float, str]] = []
    for dimension in space.active(point):
        value, before = point[dimension.name], other.get(dimension.name)
        if value == before:
            continue
        word = label(dimension.path)
        if before is None or isinstance(dimension, Choice):
            changes.append((1.0, f"{word} {_said(value)}"))
        elif isinstance(dimension, Float | Int):
            changes.append((_apart(dimension, value, before), f"{word} {'higher' if value > before else 'lower'}"))
        else:
            changes.append((_apart(dimension, value, before), f"{word} shifted"))
    changes.sort(key=lambda change: -change[0])
    more = f" and {len(changes) - NAMED} more" if len(changes) > NAMED else ""
    return ", ".join(words for _, words in changes[:NAMED]) + more or "the same but for its seed"


def _said(value: Json) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "+".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
