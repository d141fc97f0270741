"""Which tokens a stage's rows are made of: what methods that train or start from single tokens look at."""

from __future__ import annotations

from collections import Counter

from tunewright.tools.training.method import Start

ROWS = 256
"""Looked at; labels repeat long before."""


def frequent(start: Start, *, labelled: bool) -> list[int]:
    """Token ids of the stage's first rows, the most frequent first, of equal ones the lowest.

    Args:
        labelled: those that carry loss, else those that do not.
    """
    seen: Counter[int] = Counter()
    for batch in start.rows(ROWS):
        wanted = (batch["attention_mask"] != 0) & ((batch["labels"] != -100) == labelled)
        seen.update(batch["input_ids"][wanted].tolist())
    return sorted(seen, key=lambda token: (-seen[token], token))


def running(start: Start, count: int) -> list[int]:
    """The first ``count`` tokens of the stage's rows read one after the other, begun again where they end."""
    found: list[int] = []
    for batch in start.rows(ROWS):
        found += batch["input_ids"][batch["attention_mask"] != 0].tolist()
        if len(found) >= count:
            break
    return [found[place % len(found)] for place in range(count)]
