"""Share of pairs whose better answer the model prefers: by a reward model's head, else by likelihood a token.

For rows of format ``preference``; where an answer is a label, the worse one is another label. Half a point for a tie.
Of judged answers each is compared with all of the other kind, whatever their prompts: the area under the ROC curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tunewright.domain.errors import DataError, UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.evaluation.scorer import MeanScorer

_NEEDED = {"preference": "rejected", "judged": "good"}


class PreferenceAccuracy(MeanScorer):
    """The prediction of an item is the better answer's score over the worse one's as text; of a judged answer the share
    of the others that are on the right side of it."""

    name = "preference_accuracy"
    best = 1.0
    needs: Literal["preference"] = "preference"

    def check(self, task: TaskSpec, rows: Sequence[Mapping[str, Any]]) -> None:
        """There have to be better and worse answers.

        Raises:
            UsageError: the task has one answer a row, and nobody says whether it is good.
            DataError: a row lacks its worse answer or its judgement.
        """
        if task.format not in (*_NEEDED, "label"):
            raise UsageError(
                f"the metric '{self.name}' compares answers, and rows of format {task.format} have one each",
                "take exact_match or loss, or give rows with the columns prompt, chosen and rejected",
            )
        needed = _NEEDED.get(task.format)
        for row in rows:
            if needed is not None and needed not in row:
                raise DataError(f"row {row['id']} has no '{needed}'", "freeze the study's data again")

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        try:
            said = float(prediction)
        except ValueError:
            return 0.0
        if "good" in row:
            return said if 0 <= said <= 1 else 0.0
        return 0.5 if said == 0 else float(said > 0)


SCORER = PreferenceAccuracy()
