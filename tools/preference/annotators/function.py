"""A function of the caller's, for the library."""

from __future__ import annotations

from collections.abc import Callable

from tunewright.domain.errors import AnnotatorError, boundary
from tunewright.tools.preference.annotator import Question, Reply, choice_of

Compare = Callable[[str, str, str], str | int]
"""(prompt, first answer, second answer) -> ``1``, ``2`` or ``tie``."""


class FunctionAnnotator:
    """Asks a function."""

    def __init__(self, compare: Compare) -> None:
        self.name = f"function:{getattr(compare, '__name__', type(compare).__name__)}"
        self._compare = compare

    def answer(self, question: Question) -> Reply:
        """What the function returns.

        Raises:
            AnnotatorError: it raises, or returns something else.
        """
        with boundary(AnnotatorError, f"ask the annotator '{self.name}'"):
            said = self._compare(question.prompt, question.first, question.second)
        choice = choice_of(str(said))
        if choice is None:
            raise AnnotatorError(f"the annotator '{self.name}' returned {said!r:.100}", "return '1', '2' or 'tie'")
        return Reply(choice)
