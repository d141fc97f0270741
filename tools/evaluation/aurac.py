"""How good a nested adapter is over all its ranks, in one number. Modoranu et al., arXiv 2605.07850."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal


def aurac(accuracies: Mapping[int, float], *, version: Literal[1, 2] = 2) -> float:
    """The area under the accuracy-over-rank curve, by trapezoids, over the range of ranks: a mean accuracy.

    Args:
        accuracies: of each rank that was measured, in any order.
        version: 1 spaces ranks evenly by their value; 2 by their logarithm, so that each doubling counts alike.

    Raises:
        ValueError: fewer than two ranks, or one below 1.
    """
    if len(accuracies) < 2 or min(accuracies) < 1:
        raise ValueError(f"at least two ranks from 1 up were expected, got {sorted(accuracies)}")
    points = [(math.log2(rank) if version == 2 else rank, accuracies[rank]) for rank in sorted(accuracies)]
    area = sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairwise(points))
    return area / (points[-1][0] - points[0][0])
