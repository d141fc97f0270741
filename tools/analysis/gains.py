"""Where a gain came from, item by item: two jobs on the same rows, by label, source and length of input; what flipped,
what the untouched model had right, how long answers are, and how many have no valid form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunewright.domain.outcome import Item

LEAST = 5
"""Rows below which a part is not told: chance moves it too far."""
_BANDS = 3
"""Of input lengths, with as many rows each."""
_WORST = 0.25
"""Share of the rows that counts as wrong where scores are not right or wrong."""


@dataclass(frozen=True)
class Part:
    """A group of rows, and how two jobs fare on it."""

    kind: Literal["label", "source", "length"]
    name: str
    rows: int
    mine: float
    """Mean score."""
    theirs: float
    gain: float
    """Of the mean, in the good direction."""
    wrong: int
    """Rows that the first job has wrong."""
    lift: float
    """Its share of all wrong rows, over its share of all rows."""

    @property
    def moved(self) -> float:
        """Gain times rows: what the group adds to a sum over all rows."""
        return self.gain * self.rows

    def says(self) -> str:
        """Such as ``label 'refund': 0.800 against 0.650 (+0.150), 40 rows``."""
        return (
            f"{self.kind} {self.name!r}: {self.mine:.3f} against {self.theirs:.3f} ({self.gain:+.3f}), {self.rows} rows"
        )


@dataclass(frozen=True)
class Flips:
    """Rows that one job has right and another wrong."""

    won: int
    lost: int
    rows: int


def parts(
    mine: Sequence[Item],
    theirs: Sequence[Item],
    inputs: Mapping[str, str],
    *,
    sign: float,
    labelled: bool,
    sources: Mapping[str, str] | None = None,
) -> list[Part]:
    """Groups of the rows that both have scored, those that lost most first.

    Args:
        inputs: row id -> input text.
        sign: 1 where a higher score is better, else -1.
        labelled: whether targets are labels of a closed set.
        sources: row id -> source; groups only where there are several.
    """
    others = {item.id: item for item in theirs}
    both = [(item, others[item.id]) for item in mine if item.id in others]
    bad = wrong_ids([item for item, _ in both], sign)
    groups: dict[tuple[Literal["label", "source", "length"], str], list[tuple[Item, Item]]] = {}
    bands = _bands([item.id for item, _ in both], inputs)
    named = set((sources or {}).values())
    for item, other in both:
        if labelled:
            groups.setdefault(("label", item.target), []).append((item, other))
        if len(named) > 1 and sources is not None and item.id in sources:
            groups.setdefault(("source", sources[item.id]), []).append((item, other))
        if item.id in bands:
            groups.setdefault(("length", bands[item.id]), []).append((item, other))
    found = []
    for (kind, name), pairs in groups.items():
        if not LEAST <= len(pairs) < len(both):
            continue
        one = sum(item.score for item, _ in pairs) / len(pairs)
        two = sum(other.score for _, other in pairs) / len(pairs)
        wrong = sum(item.id in bad for item, _ in pairs)
        lift = (wrong / len(bad)) / (len(pairs) / len(both)) if bad else 0.0
        found.append(Part(kind, name, len(pairs), one, two, sign * (one - two), wrong, lift))
    return sorted(found, key=lambda one: (one.moved, one.kind, one.name))


def flips(mine: Sequence[Item], theirs: Sequence[Item], *, sign: float) -> Flips | None:
    """What changed between right and wrong; None where scores are not right or wrong."""
    if not mine or not _binary(mine) or not _binary(theirs):
        return None
    others = {item.id: item.score for item in theirs}
    right = 1.0 if sign > 0 else 0.0
    pairs = [(item.score == right, others[item.id] == right) for item in mine if item.id in others]
    return Flips(sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs), len(pairs))


def mean_length(items: Sequence[Item]) -> float:
    """Characters of a prediction, on average."""
    return sum(len(item.prediction) for item in items) / max(1, len(items))


def malformed(items: Sequence[Item], labels: Sequence[str]) -> int:
    """Predictions that are empty or, where there is a closed set of labels, none of it."""
    known = set(labels)
    return sum(not item.prediction.strip() or bool(known and item.prediction not in known) for item in items)


def wrong_ids(items: Sequence[Item], sign: float) -> set[str]:
    """Ids of the rows that are wrong; the worst quarter, where scores are not right or wrong."""
    if _binary(items):
        return {item.id for item in items if item.score == (0.0 if sign > 0 else 1.0)}
    ranked = sorted(items, key=lambda item: (sign * item.score, item.id))
    return {item.id for item in ranked[: int(_WORST * len(ranked))]}


def _binary(items: Sequence[Item]) -> bool:
    return all(item.score in (0.0, 1.0) for item in items)


def _bands(ids: Sequence[str], inputs: Mapping[str, str]) -> dict[str, str]:
    """Row id -> which part of the lengths its input lies in, such as ``up to 80 characters``."""
    sized = sorted((len(inputs[id]), id) for id in ids if id in inputs)
    if len(sized) < _BANDS * LEAST or sized[0][0] == sized[-1][0]:
        return {}
    edges = [sized[len(sized) * part // _BANDS][0] for part in range(1, _BANDS)]
    middle = f"{edges[0]} to {edges[1] - 1}" if edges[1] - 1 > edges[0] else f"{edges[0]}"
    names = [f"up to {edges[0] - 1} characters", f"{middle} characters", f"{edges[1]} characters or more"]
    return {id: names[sum(size >= edge for edge in edges)] for size, id in sized}
