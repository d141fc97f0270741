"""What the courses of many studies say of a method: medians and means with intervals over tasks and seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from course import Course

REFERENCES = ("random", "TPE", "TPE and Hyperband")
"""Methods whose final best others are timed to."""
GRID = np.linspace(0.02, 1.0, 50)
"""Shares of the budget at which curves are read."""
_DRAWS = 1_000


@dataclass(frozen=True)
class Ground:
    """What the studies of one task are measured by."""

    budget_s: float
    base: float
    """Worth of the untouched model."""
    top: float
    """Worth of the table's best recipe."""

    def height(self, worth: float) -> float:
        """0 for the untouched model, 1 for the table's best recipe."""
        return (worth - self.base) / (self.top - self.base)


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval by bootstrap over studies."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{said(self.value)} [{said(self.low)}, {said(self.high)}]"


def said(value: float) -> str:
    """Two digits; what was not reached within the budget is above 1."""
    return f"{value:.2f}" if math.isfinite(value) else "> 1"


Studies = Mapping[tuple[str, int], Course]
"""Task and seed -> the study."""


class Figures:
    """Of every method, on the same tasks and seeds.

    Args:
        grounds: by task.
        studies: method -> its studies.
    """

    def __init__(self, grounds: Mapping[str, Ground], studies: Mapping[str, Studies]) -> None:
        self._grounds, self._studies = grounds, studies

    def curve(self, method: str, task: str | None = None) -> tuple[list[float], list[float], list[float]]:
        """Mean height of the best so far over ``GRID``, and the ends of its 95 % interval."""
        heights = np.array(self._curves(method, task))
        half = 1.96 * heights.std(axis=0, ddof=1) / math.sqrt(len(heights))
        mean = heights.mean(axis=0)
        return mean.tolist(), (mean - half).tolist(), (mean + half).tolist()

    def height(self, method: str, share: float) -> Interval:
        """Mean height of the best so far after a share of the budget."""
        return boot(self.heights(method, share), np.mean)

    def heights(self, method: str, share: float) -> list[float]:
        """Likewise, of each study."""
        return [self._ground(key).height(self._at(c, key, share)) for key, c in self._studies[method].items()]

    def means(self, method: str) -> list[float]:
        """Height of the best so far, averaged over the budget, of each study: early gains count longer."""
        return [float(np.mean(curve)) for curve in self._curves(method, None)]

    def _curves(self, method: str, task: str | None) -> list[list[float]]:
        return [
            [self._ground(key).height(self._at(course, key, share)) for share in GRID]
            for key, course in self._studies[method].items()
            if task in (None, key[0])
        ]

    def cost_to(self, method: str, reference: str) -> Interval:
        """Median share of the budget that it takes to what another's study of the same task and seed ends with."""
        return boot(self.costs_to(method, reference), np.median)

    def costs_to(self, method: str, reference: str) -> list[float]:
        """Likewise, of each study; infinite where the budget does not reach."""
        ends = {key: self._at(course, key, 1.0) for key, course in self._studies[reference].items()}
        return _within(
            [course.cost_to(ends[key]) / self._ground(key).budget_s for key, course in self._studies[method].items()]
        )

    def cost_to_top(self, method: str, share: float = 0.99) -> tuple[Interval, float]:
        """Median share of the budget until the best so far is worth so much of the table's best; how many get there."""
        shares = [
            course.cost_to(share * self._ground(key).top) / self._ground(key).budget_s
            for key, course in self._studies[method].items()
        ]
        return boot(_within(shares), np.median), float(np.mean([one <= 1.0 for one in shares]))

    def infeasible(self, method: str) -> float:
        """Share of the launched trials that ended by the recipe's own fault or a limit."""
        courses = self._studies[method].values()
        return sum(c.infeasible for c in courses) / sum(c.launched for c in courses)

    def launched(self, method: str) -> float:
        """Trials a study."""
        return float(np.mean([course.launched for course in self._studies[method].values()]))

    def asked_s(self, method: str) -> float:
        """Processor seconds of ideas and of steering a study."""
        return float(np.mean([course.asked_s for course in self._studies[method].values()]))

    def _ground(self, key: tuple[str, int]) -> Ground:
        return self._grounds[key[0]]

    def _at(self, course: Course, key: tuple[str, int], share: float) -> float:
        ground = self._ground(key)
        return course.at(share * ground.budget_s, ground.base)


def _within(shares: Sequence[float]) -> list[float]:
    """What was reached after the budget was not reached."""
    return [share if share <= 1.0 else math.inf for share in shares]


def apart(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """How far the ones are above the others, study by study."""
    return [one - other for one, other in zip(ones, others, strict=True)]


def boot(values: Sequence[float], of: object) -> Interval:
    """A figure of many studies."""
    assert callable(of)
    rng, known = np.random.default_rng(0), np.array(values)
    with np.errstate(invalid="ignore"):
        drawn = np.sort([of(known[rng.integers(0, len(known), len(known))]) for _ in range(_DRAWS)])
        drawn = np.where(np.isnan(drawn), math.inf, drawn)
        found = float(of(known))
    low, high = drawn[round(0.025 * (_DRAWS - 1))], drawn[round(0.975 * (_DRAWS - 1))]
    return Interval(found if not math.isnan(found) else math.inf, float(low), float(high))
