"""Share of pairs whose better answer the model prefers: by a reward model's head, else by likelihood a token.

For rows of format ``preference``; where an answer is a label, the worse one is another label. Half a point for a tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tunewright.domain.errors import DataError, UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.evaluation.scorer import MeanScorer


class PreferenceAccuracy(MeanScorer):
    """The prediction of an item is the better answer's score over the worse one's as text."""

    name = "preference_accuracy"
    needs: Literal["preference"] = "preference"

    def check(self, task: TaskSpec, rows: Sequence[Mapping[str, Any]]) -> None:
        """There have to be two answers.

        Raises:
            UsageError: the task has one answer a row.
            DataError: a row has no worse answer.
        """
        if task.format not in ("preference", "label"):
            raise UsageError(
                f"the metric '{self.name}' compares two answers, and rows of format {task.format} have one",
                "take exact_match or loss, or give rows with the columns prompt, chosen and rejected",
            )
        for row in rows:
            if task.format == "preference" and "rejected" not in row:
                raise DataError(f"row {row['id']} has no worse answer", "freeze the study's data again")

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        try:
            margin = float(prediction)
        except ValueError:
            return 0.0
        return 0.5 if margin == 0 else float(margin > 0)


SCORER = PreferenceAccuracy()
