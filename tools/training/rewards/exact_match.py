"""Whether the answer is the row's target, white space aside: the scorer ``exact_match`` as a reward.

The verifiable reward in its simplest form (Lambert et al., arXiv 2411.15124, section 6): right or wrong, and no model
between the answer and its reward.
"""

from __future__ import annotations

from typing import Any

from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.scorer import spaced
from tunewright.tools.training.answer import AnswerConfig, each_content
from tunewright.tools.training.reward import Court, Judge, RewardMethod


class ExactMatchConfig(AnswerConfig):
    """What is let pass."""

    ignore_case: bool = False
    """Compare without regard to upper and lower case."""


class ExactMatch(RewardMethod):
    """1 for the target, 0 for anything else. The reward to start with."""

    kind = "exact_match"
    summary = "the answer is the target, white space aside: 1, else 0"
    source = "arXiv 2411.15124"
    names = ("exact match",)
    Config = ExactMatchConfig
    apart = False

    def open(self, settings: Any, court: Court) -> Judge:
        """Compares as the scorer does."""

        def form(text: str) -> str:
            return spaced(text).casefold() if settings.ignore_case else spaced(text)

        def score(said: str, row: Row) -> float:
            return float(form(said) == form(row["target"]))

        return each_content(settings.within, score)


METHOD = ExactMatch()
