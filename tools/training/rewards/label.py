"""Whether the answer is the right one of a closed set, with a worse value for what is not of the set at all.

Accuracy as a reward, as in arXiv 2411.15124, section 6. That an answer outside the set is worth less than a wrong label
is ours: it tells a policy that does not yet keep to the set something before it hits the first right label.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.scorer import spaced
from tunewright.tools.training.answer import AnswerConfig, each_content
from tunewright.tools.training.reward import Court, Judge, RewardMethod


class LabelConfig(AnswerConfig):
    """What answers outside the set are worth."""

    outside: float = Field(-0.5, ge=-1, le=0)
    """For an answer that is none of the task's labels."""


class Label(RewardMethod):
    """1 for the right label, 0 for another, ``outside`` for anything else."""

    kind = "label"
    summary = "the right label 1, another label 0, no label at all below 0"
    source = "arXiv 2411.15124"
    names = ("label reward", "right label")
    plain_word = True
    Config = LabelConfig
    span = (-1.0, 1.0)
    apart = False

    def check(self, settings: Any, task: TaskSpec | None) -> None:
        """Needs a task with labels."""
        if task is not None and not task.labels:
            raise UsageError(
                f"the reward 'label' needs a closed set of labels, and the task's rows are of format '{task.format}'",
                "take exact_match",
            )

    def open(self, settings: Any, court: Court) -> Judge:
        """Compares as the scorer ``accuracy`` does, white space at the ends aside."""
        labels = {spaced(label) for label in court.task.labels}

        def score(said: str, row: Row) -> float:
            said = spaced(said)
            return float(said == spaced(row["target"])) if said in labels else settings.outside

        return each_content(settings.within, score, without=settings.outside)


METHOD = Label()
