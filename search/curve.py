"""What a score at a rung says of the end, by trials that were seen there and went on.

A straight line through what those had at the rung and at the end, drawn towards the one on which all gain alike while
they are few. Which trials went on was decided by their scores, so a line through them says little of what is far below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.search.evidence import Evidence

LEAST = 3
"""Trials that went on, before anything is said."""
_SAME = 1e-9
"""Places that differ by less are one."""
_PRIOR = 2.0
"""Trials that the prior counts for: all gain alike, but for a few times the noise."""
_NOISES = 2.0
"""Those times."""
_SHARE = 0.02
"""Of the scores' range: the noise where nobody said."""


@dataclass(frozen=True)
class _Line:
    before: float
    """Mean score at the rung, which stands for ``after`` at the end."""
    after: float
    slope: float
    spread: float
    """Standard deviation of an end around the line."""

    def end(self, score: float) -> tuple[float, float]:
        return self.after + self.slope * (score - self.before), self.spread


class Curves:
    """Of the trials of one study.

    Args:
        found: what they say.
    """

    def __init__(self, found: Sequence[Evidence]) -> None:
        self._found = [one for one in found if one.seen and not one.faulty and not one.origin]
        known = [noise for one in self._found for noise in one.noises if noise]
        scores = [score for one in self._found for _, score in one.seen]
        span = max(scores) - min(scores) if scores else 0.0
        self._noise = max(float(np.median(known)) if known else _SHARE * span, 1e-9)
        self._lines: dict[tuple[float, float], _Line | None] = {}

    def end(self, one: Evidence) -> tuple[float, float] | None:
        """Mean and standard deviation of what a trial that has not ended will have; None where too few went on."""
        place, score = one.seen[-1]
        between = (round(place, 9), round(one.end, 9))
        if between not in self._lines:
            self._lines[between] = self._line(place, one.end)
        line = self._lines[between]
        return line.end(score) if line is not None else None

    def _line(self, place: float, end: float) -> _Line | None:
        pairs = [pair for one in self._found if (pair := _pair(one, place, end)) is not None]
        if len(pairs) < LEAST:
            return None
        before, after = np.array(pairs).T
        away, prior = before - before.mean(), _PRIOR * self._noise**2
        slope = float(away @ (after - after.mean()) + prior) / float(away @ away + prior)
        left = after - after.mean() - slope * away
        variance = (float(left @ left) + _PRIOR * (_NOISES * self._noise) ** 2) / len(pairs)
        return _Line(float(before.mean()), float(after.mean()), slope, math.sqrt(variance * (1 + 1 / len(pairs))))


def _pair(one: Evidence, place: float, end: float) -> tuple[float, float] | None:
    """Its scores at two places, the second between two looks if need be; None if it was not seen at the first and at
    the second or past it."""
    last, score = one.seen[-1]
    if last < end - _SAME:
        return None
    before = next((score for at, score in one.seen if abs(at - place) < _SAME), None)
    if before is None:
        return None
    if last <= end + _SAME:
        return before, score
    places, scores = np.array(one.seen).T
    return before, float(np.interp(end, places, scores))
