"""A person at a terminal. How a question looks is the terminal's matter; this reads what is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tunewright.tools.preference.annotator import Choice, Question, Reply

PROMPT = "[1] [2] is better  [t]ie  [s]kip  [u]ndo  [q]uit ? "

_TYPED: dict[str, Choice | Literal["undo", "quit"]] = {
    "1": "1",
    "2": "2",
    "t": "tie",
    "tie": "tie",
    "s": "skip",
    "skip": "skip",
    "u": "undo",
    "undo": "undo",
    "q": "quit",
    "quit": "quit",
}


class HumanAnnotator:
    """Asks until something is typed that is an answer. Ctrl-D is ``quit``.

    Args:
        ask: shows a prompt and gives the line that was typed; ``EOFError`` where the person is done.
        show: puts a question on the screen.
        say: puts one line on the screen.
    """

    name = "human"

    def __init__(
        self, ask: Callable[[str], str], show: Callable[[Question], object], say: Callable[[str], object]
    ) -> None:
        self._ask, self._show, self._say = ask, show, say

    def answer(self, question: Question) -> Reply:
        """What the person says."""
        self._show(question)
        while True:
            try:
                typed = self._ask(PROMPT).strip().lower()
            except EOFError:
                return Reply("quit")
            choice = _TYPED.get(typed)
            if choice == "undo" and not question.undoable:
                self._say("there is no answer to take back")
            elif choice is not None:
                return Reply(choice)
            elif typed:
                self._say(f"'{typed}' is none of 1, 2, t, s, u, q")
