"""Which items fail together: the failed items of a job by label, length and words, each group against all others.

Bad-case attribution in three steps: what failed, what the failed have in common, and whether that is more than chance.
A slice is a group of items that anybody could name beforehand; its share of failed items has Wilson's interval, is
compared with that of all other items by Fisher's exact test, and the p is corrected by Holm for every slice looked at.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunewright.domain.outcome import Item
from tunewright.domain.task import Direction
from tunewright.tools.evaluation.holm import holm
from tunewright.tools.evaluation.proportion import wilson

By = Literal["label", "length", "words"]
LEAST = 8
"""Items below which a slice is not looked at: its interval would be wider than half of the whole range."""
_PARTS = 5
"""Of the lengths, with as many items each."""
_WORDS = 200
"""Words that are looked at, the most frequent first; each one more makes all p larger."""
_LABELS = 100
_WORST = 0.25
"""Share of the items that counts as failed where scores are not right or wrong."""
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Slice:
    """A group of items, and how it fares against all others."""

    by: By
    name: str
    """The label or word; for lengths such as ``120 to 340``, in characters."""
    rows: int
    failed: int
    low: float
    high: float
    """95 % interval of the share that failed."""
    rest: float
    """The share of all other items that failed."""
    p: float
    """Two-sided, that it differs from the rest, corrected for all slices looked at."""
    worst: tuple[str, ...]
    """Ids of its failed items, the worst first."""

    @property
    def share(self) -> float:
        return self.failed / self.rows

    @property
    def lift(self) -> float:
        """Times as often as the rest; infinite where none of the rest failed."""
        return self.share / self.rest if self.rest else float("inf")


@dataclass(frozen=True)
class Attribution:
    """The slices of a job, those that fail more often than the rest and surest first."""

    rows: int
    failed: int
    rule: str
    """What counts as failed."""
    looked_at: int
    """Slices that were compared, of which ``slices`` are some."""
    slices: tuple[Slice, ...]


def attribute(
    items: Sequence[Item],
    inputs: Mapping[str, str],
    *,
    direction: Direction,
    by: Sequence[By] = ("label", "length", "words"),
    most: int = 12,
) -> Attribution:
    """The failed among ``items``, by what they have in common.

    Args:
        items: scored rows of one job.
        inputs: row id -> input text; what is missing has no length and no words.
        direction: of the score.
        by: what slices are made of.
        most: slices that are told.
    """
    failed, rule = _failed(items, direction)
    groups = [one for way in by for one in _groups(way, items, inputs)]
    rows, bad = len(items), len(failed)
    raw = [_p(len(failed & members), len(members), bad, rows) for _, _, members in groups]
    sign = 1 if direction == "max" else -1
    order = {item.id: at for at, item in enumerate(sorted(items, key=lambda item: (sign * item.score, item.id)))}
    slices = []
    for (way, name, members), p in zip(groups, holm(raw), strict=True):
        own = members & failed
        low, high = wilson(len(own), len(members), 0.95)
        others = rows - len(members)
        rest = (bad - len(own)) / others if others else 0.0
        worst = tuple(sorted(own, key=order.__getitem__)[:3])
        slices.append(Slice(way, name, len(members), len(own), low, high, rest, p, worst))
    slices.sort(key=lambda one: (one.share <= one.rest, one.p, -abs(one.share - one.rest), one.by, one.name))
    return Attribution(rows, bad, rule, len(slices), tuple(slices[:most]))


def _failed(items: Sequence[Item], direction: Direction) -> tuple[set[str], str]:
    if all(item.score in (0.0, 1.0) for item in items):
        wrong = 0.0 if direction == "max" else 1.0
        return {item.id for item in items if item.score == wrong}, f"a score of {wrong:g}"
    ranked = sorted((item.score for item in items), reverse=direction == "min")
    bar = ranked[max(0, int(_WORST * len(ranked)) - 1)]
    bad = {item.id for item in items if (item.score <= bar if direction == "max" else item.score >= bar)}
    return bad, f"a score of {bar:.3g} or worse, the worst quarter"


def _groups(way: By, items: Sequence[Item], inputs: Mapping[str, str]) -> Iterator[tuple[By, str, set[str]]]:
    """Groups that are large enough and leave as many outside."""
    made = {"label": _by_label, "length": _by_length, "words": _by_word}[way](items, inputs)
    for name, members in made:
        if LEAST <= len(members) <= len(items) - LEAST:
            yield way, name, members


def _by_label(items: Sequence[Item], inputs: Mapping[str, str]) -> Iterator[tuple[str, set[str]]]:
    labels: dict[str, set[str]] = defaultdict(set)
    for item in items:
        labels[item.target].add(item.id)
    if len(labels) <= _LABELS:  # free text is no label
        yield from sorted(labels.items())


def _by_length(items: Sequence[Item], inputs: Mapping[str, str]) -> Iterator[tuple[str, set[str]]]:
    sized = sorted((len(inputs[item.id]), item.id) for item in items if item.id in inputs)
    edges = sorted({sized[len(sized) * part // _PARTS][0] for part in range(_PARTS)}) if sized else []
    for at, edge in enumerate(edges):
        end = edges[at + 1] if at + 1 < len(edges) else sized[-1][0] + 1
        yield str(edge) if end - 1 == edge else f"{edge} to {end - 1}", {id for size, id in sized if edge <= size < end}


def _by_word(items: Sequence[Item], inputs: Mapping[str, str]) -> Iterator[tuple[str, set[str]]]:
    having: dict[str, set[str]] = defaultdict(set)
    for item in items:
        for word in set(_WORD.findall(inputs.get(item.id, "").lower())):
            having[word].add(item.id)
    counts = Counter({word: len(ids) for word, ids in having.items() if LEAST <= len(ids) <= len(items) // 2})
    for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_WORDS]:
        yield word, having[word]


def _p(failed: int, rows: int, failed_all: int, rows_all: int) -> float:
    from scipy.stats import fisher_exact

    others = rows_all - rows
    table = [[failed, rows - failed], [failed_all - failed, others - (failed_all - failed)]]
    return float(fisher_exact(table).pvalue)
