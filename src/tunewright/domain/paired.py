"""Scores of two trials on the same rows, while one of them is still being scored."""

from __future__ import annotations

import math
from dataclasses import dataclass

_PARTS = 10
_LEAST_ROWS = 30
"""Rows between two looks: fewer say little, and leave batches half empty."""


def looks(rows: int) -> tuple[int, ...]:
    """Rows after which scores are looked at, ascending; the last is ``rows``.

    A fifth of them at first, then a tenth each time: what is seen sooner is mostly luck, and what is told of a trial
    that was stopped by it is too low. Frozen rows are in a random order that is the same for all trials of a study, so
    that the first so many are a fair sample.
    """
    part = max(_LEAST_ROWS, math.ceil(rows / _PARTS))
    return (*range(2 * part, rows - part // 2, part), rows)


@dataclass(frozen=True)
class Paired:
    """A trial whose end is being scored beside a trial that was scored on all rows."""

    against: str
    """The other trial."""
    mine: tuple[float, ...]
    """Scores of the first rows."""
    theirs: tuple[float, ...]
    """The other's scores of the same rows, in the same order."""
    of: int
    """Rows in all."""

    @property
    def rows(self) -> int:
        """That both were scored on."""
        return len(self.mine)

    @property
    def gain(self) -> float:
        """Mean difference of an item's score; above zero if the trial's are larger."""
        return (math.fsum(self.mine) - math.fsum(self.theirs)) / self.rows
