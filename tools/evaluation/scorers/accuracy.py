"""Share of rows whose most likely label is the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tunewright.tools.evaluation.scorer import MeanScorer


class Accuracy(MeanScorer):
    name = "accuracy"
    best = 1.0
    needs: Literal["labels"] = "labels"

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        return float(prediction == row["target"])


SCORER = Accuracy()
