"""The reference answer as a stand-in for a person: the answer that a scorer finds closer to it is the better one."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.domain.errors import DataError, UsageError
from tunewright.tools.evaluation.registry import scorer
from tunewright.tools.preference.annotator import Question, Reply
from tunewright.tools.preference.candidate import Candidates

SCORER = "token_f1"
"""Tells near answers from far ones; most others know only right and wrong, which makes many ties."""


class ReferenceAnnotator:
    """Scores both answers against the row's target. Equal scores are a tie.

    Args:
        name: a scorer of the registry that reads an answer's text.

    Raises:
        UnknownNameError: there is no such scorer.
        UsageError: the scorer measures something else than an answer's text.
    """

    def __init__(self, name: str = SCORER) -> None:
        self._scorer = scorer(name or SCORER)
        if self._scorer.needs in ("loss", "preference"):
            raise UsageError(
                f"the metric '{self._scorer.name}' does not compare an answer with its reference",
                f"take one that does, such as reference:{SCORER} or reference:rouge_l",
            )
        self.name = f"reference:{self._scorer.name}"

    def check(self, candidates: Sequence[Candidates]) -> None:
        """Whether every prompt can be judged.

        Raises:
            DataError: one has no reference answer.
        """
        without = next((one for one in candidates if one.target is None), None)
        if without is not None:
            raise DataError(
                f"the prompt {without.prompt[:60]!r} has no reference answer to compare with",
                "name the column with --target-field, or take another annotator",
            )

    def answer(self, question: Question) -> Reply:
        """Which answer the scorer prefers."""
        first, second = (self._scorer.score(text, question.row) for text in (question.first, question.second))
        if first == second:
            return Reply("tie", f"both {first:g}")
        better = (first > second) == (self._scorer.direction == "max")
        return Reply("1" if better else "2", f"{first:.3g} and {second:.3g}")
