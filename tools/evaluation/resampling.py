"""The bootstrap and the permutation test, for any metric that can be computed from how often each item counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Aggregate = Callable[[Floats], Floats]
"""(R, N) counts of each item in each resample -> (R,) values of the metric."""

_CHUNK = 2_000_000
"""Random numbers held at a time: 16 MB."""


def bootstrap(aggregate: Aggregate, n: int, resamples: int, seed: int) -> Floats:
    """The metric of ``resamples`` samples of ``n`` items drawn with replacement (Efron 1979)."""
    rng = np.random.default_rng(seed)
    found = []
    for size in _chunks(n, resamples):
        drawn = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        found.append(aggregate(counts.astype(np.float64)))
    return np.concatenate(found)


def permutation(gain_of: Callable[[Floats, Floats], Floats], gain: float, n: int, resamples: int, seed: int) -> float:
    """Two-sided p: how often chance alone, swapping the two sides of items, gives a gain as large."""
    rng = np.random.default_rng(seed)
    as_large = 0
    for size in _chunks(n, resamples):
        swapped = rng.integers(0, 2, (size, n)).astype(np.float64)
        # rounding must not make an equal gain a smaller one
        as_large += int((np.abs(gain_of(1 - swapped, swapped)) >= abs(gain) * (1 - 1e-9) - 1e-12).sum())
    return (as_large + 1) / (resamples + 1)


def percentiles(values: Floats, n: int, confidence: float) -> tuple[float, float]:
    """The middle of a bootstrap distribution, widened for small ``n`` (Hesterberg 2015, "expanded percentile").

    The plain percentile interval is too short by a factor of sqrt((n - 1) / n) and as if its spread were known.
    """
    normal = NormalDist()
    tail = normal.cdf(-_student(1 - (1 - confidence) / 2, n - 1) * math.sqrt(n / max(1, n - 1)))
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def each(counts: Floats, value: Callable[[NDArray[np.intp]], float]) -> Floats:
    """The slow way: one call a resample, with the indices of its items."""
    return np.array([value(np.repeat(np.arange(row.size), row.astype(np.intp))) for row in counts])


def _chunks(n: int, resamples: int) -> Iterator[int]:
    size = max(1, _CHUNK // n)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _student(probability: float, freedom: int) -> float:
    """Quantile of Student's t by the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5).

    Within 1 % from 5 degrees of freedom on; below that few items are few, whatever the interval.
    """
    z, v = NormalDist().inv_cdf(probability), max(1, freedom)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return float(z + first / v + second / v**2 + third / v**3)
