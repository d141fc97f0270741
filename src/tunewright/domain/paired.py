"""Scores of two trials on the same rows, while one of them is still being scored."""

from __future__ import annotations

import math
from dataclasses import dataclass

_PARTS = 10
_LEAST_ROWS = 60
"""Of a part. What is seen on fewer is mostly luck, so that what is told of a trial that was stopped by it is too low;
and where answers are generated, small parts leave batches half empty."""


def looks(rows: int) -> tuple[int, ...]:
    """Rows after which scores are looked at, ascending; the last is ``rows``.

    A tenth of them each time, or 60. Frozen rows are in a random order that is the same for all trials of a study, so
    that the first so many are a fair sample.
    """
    part = max(_LEAST_ROWS, math.ceil(rows / _PARTS))
    return (*range(part, rows - part // 2, part), rows)


@dataclass(frozen=True)
class Paired:
    """A trial whose end is being scored beside a trial that was scored on all rows."""

    against: str
    """The other trial."""
    mine: tuple[float, ...]
    """Scores of the first rows."""
    others: tuple[float, ...]
    """The other's scores of all rows, in the same order."""

    @property
    def rows(self) -> int:
        """That both were scored on."""
        return len(self.mine)

    @property
    def of(self) -> int:
        """Rows in all."""
        return len(self.others)

    @property
    def theirs(self) -> tuple[float, ...]:
        """The other's scores of the first rows."""
        return self.others[: self.rows]

    @property
    def estimate(self) -> float:
        """What the trial's mean over all rows is likely to be.

        Its mean so far, moved by as much as the other's mean over these rows is off its mean over all: where these
        rows are easy for one they are for the other too, as far as their scores go together on them (a control
        variate; the regression estimator of Cochran 1977, Sampling Techniques, section 7.3). It is on the same side of
        the other's as on the rows so far: one that is behind is not told as ahead because its rows were easy.
        """
        mine, theirs = (math.fsum(side) / self.rows for side in (self.mine, self.theirs))
        spread = math.fsum((score - theirs) ** 2 for score in self.theirs)
        both = math.fsum((a - mine) * (b - theirs) for a, b in zip(self.mine, self.theirs, strict=True))
        slope = min(1.0, max(0.0, both / spread)) if spread > 0 else 0.0
        whole = math.fsum(self.others) / self.of
        found = mine + slope * (whole - theirs)
        return min(found, whole) if mine < theirs else max(found, whole)
