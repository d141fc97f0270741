"""A language model as the annotator. Which one, and how it is asked, comes from outside: tools know no provider."""

from __future__ import annotations

from collections.abc import Callable

from tunewright.domain.errors import AnnotatorError
from tunewright.tools.preference.annotator import Question, Reply

_PATIENCE = 3
"""Pairs in a row without an answer until it is taken for unable."""

Ask = Callable[[Question], Reply]
"""Asks the model. ``skip`` with a reason where it answers and no answer can be used, as when it declines."""


class LlmAnnotator:
    """Skips a pair that the model has no usable answer for, and gives up when that becomes the rule.

    The order of the two answers is drawn anew for each pair by whoever asks: a model that likes the first place is
    noise then, and no bias.
    """

    def __init__(self, name: str, ask: Ask) -> None:
        self.name = f"llm:{name}"
        self._ask = ask
        self._silent = 0

    def answer(self, question: Question) -> Reply:
        """What the model says.

        Raises:
            AnnotatorError: it had no usable answer to several pairs in a row.
            BrainError: it cannot be asked.
        """
        if self._silent >= _PATIENCE:
            raise AnnotatorError(
                f"'{self.name}' had no answer to {self._silent} pairs in a row", "take another model or annotator"
            )
        reply = self._ask(question)
        self._silent = self._silent + 1 if reply.choice == "skip" else 0
        return reply
