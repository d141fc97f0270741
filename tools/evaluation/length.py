"""Whether a gain is one in answers of equal length, so that saying more cannot pass for saying better.

Overlap metrics and judges reward long answers. As in arXiv 2606.19266, which warns of it, scores are compared together
with lengths; the correction itself is ours: the score's regression on the logarithm of the length, over the answers of
both sides, is taken off before the two are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunewright.domain.outcome import Item
from tunewright.tools.evaluation.resampling import bootstrap, percentiles

RESAMPLES = 2_000


def length_controlled(
    items: Sequence[Item], against: Sequence[Item], *, sign: float = 1.0, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Gain of ``items`` over ``against`` at equal length, and its bootstrap interval over rows.

    Args:
        items: scored answers.
        against: those to the same rows, in the same order.
        sign: 1 if a higher score is better, else -1.

    Raises:
        ValueError: there are no items.
    """
    if not items:
        raise ValueError("a comparison needs at least one item, got none")
    scores = np.array([[item.score for item in side] for side in (items, against)]) * sign
    lengths = np.array([[np.log1p(len(item.prediction.split())) for item in side] for side in (items, against)])

    def gains(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """(resamples,) of (resamples, rows) weights."""
        total = 2 * counts.sum(1)

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            found: NDArray[np.float64] = (counts @ values.sum(0)) / total
            return found

        middle_s, middle_l = mean(scores), mean(lengths)
        covariance = mean(scores * lengths) - middle_s * middle_l
        variance = mean(lengths**2) - middle_l**2
        slope = np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 1e-12)
        better = (counts @ (scores[0] - scores[1])) / counts.sum(1)
        longer = (counts @ (lengths[0] - lengths[1])) / counts.sum(1)
        result: NDArray[np.float64] = better - slope * longer
        return result

    n = len(items)
    low, high = percentiles(bootstrap(gains, n, RESAMPLES, seed), n, confidence)
    return float(gains(np.ones((1, n)))[0]), low, high
