"""Perplexity of the targets: the exponential of the mean token loss. Lower is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tunewright.domain.outcome import Item
from tunewright.tools.evaluation.scorer import MeanScorer
from tunewright.tools.evaluation.scorers.loss import SCORER as LOSS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Perplexity(MeanScorer):
    """An item's score is its mean token loss; the metric is the exponential of their mean."""

    name = "perplexity"
    best = 1.0
    direction: Literal["max", "min"] = "min"
    needs: Literal["loss"] = "loss"
    follows_mean = True

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        return LOSS.score(prediction, row)

    def aggregate(self, items: Sequence[Item]) -> float:
        try:
            return math.exp(super().aggregate(items))
        except OverflowError:
            return math.inf

    def resample(self, items: Sequence[Item], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        with np.errstate(over="ignore"):
            grown: NDArray[np.float64] = np.exp(super().resample(items, counts))
        return grown


SCORER = Perplexity()
