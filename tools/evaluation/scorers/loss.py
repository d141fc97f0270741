"""Mean token loss of the target, in nats: lower is better. Works for every task and needs no generation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from tunewright.tools.evaluation.scorer import MeanScorer


class Loss(MeanScorer):
    """The prediction of an item is its loss as text; what cannot be read is infinitely bad."""

    name = "loss"
    best = 0.0
    direction: Literal["max", "min"] = "min"
    needs: Literal["loss"] = "loss"

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        try:
            loss = float(prediction)
        except ValueError:
            return math.inf
        return loss if loss >= 0 else math.inf


SCORER = Loss()
