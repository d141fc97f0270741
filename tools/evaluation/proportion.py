"""Shares of right answers: Wilson's and Tango's intervals and McNemar's test, in closed form."""

from __future__ import annotations

import math
from statistics import NormalDist


def quantile(confidence: float) -> float:
    """Standard deviations on either side of the mean that hold ``confidence`` of a normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(right: int, n: int, confidence: float) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927)."""
    z = quantile(confidence)
    share, scale = right / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return max(0.0, middle - reach), min(1.0, middle + reach)


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided p of McNemar's test: the rows on which the two differ are coin tosses if neither is better."""
    tosses = wins + losses
    tail = sum(math.comb(tosses, k) for k in range(min(wins, losses) + 1))
    return float(min(1.0, 2 * tail / 2**tosses))


def tango(wins: int, losses: int, n: int, confidence: float) -> tuple[float, float]:
    """Score interval of the difference of two shares on the same rows (Tango 1998): where its test does not reject."""
    z = quantile(confidence)

    def statistic(gain: float) -> float:
        # q is the most likely share of losses if the true gain is ``gain``: the root of a quadratic.
        b = -wins - losses + (2 * n - wins + losses) * gain
        c = -losses * gain * (1 - gain)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * (2 * q + gain * (1 - gain))
        return (wins - losses - n * gain) / math.sqrt(variance) if variance > 0 else math.inf

    def crossing(inner: float, outer: float) -> float:
        for _ in range(60):
            middle = (inner + outer) / 2
            inner, outer = (middle, outer) if abs(statistic(middle)) <= z else (inner, middle)
        return inner

    gain = (wins - losses) / n
    return crossing(gain, -1.0), crossing(gain, 1.0)
