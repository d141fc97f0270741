"""Share of generated answers that equal the target, white space aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.tools.evaluation.scorer import MeanScorer, spaced


class ExactMatch(MeanScorer):
    name = "exact_match"
    best = 1.0

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        return float(spaced(prediction) == spaced(row["target"]))


SCORER = ExactMatch()
