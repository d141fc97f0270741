"""Share of generated answers that contain the target, case and white space aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.tools.evaluation.scorer import MeanScorer, spaced


class Contains(MeanScorer):
    """An empty target is in every text, so it is only matched by an empty answer."""

    name = "contains"
    best = 1.0

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        said, wanted = spaced(prediction).casefold(), spaced(row["target"]).casefold()
        return float(wanted in said if wanted else not said)


SCORER = Contains()
