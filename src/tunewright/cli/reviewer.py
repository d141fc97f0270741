"""The reviewer at a terminal: shows what waits, reads what is typed, and gives answers."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence

from tunewright.cli.edit import Editor
from tunewright.cli.line import Line
from tunewright.cli.plan import why_lines
from tunewright.cli.questions import ask_questions
from tunewright.cli.selection import number_of, targets_of
from tunewright.cli.table import detail_lines
from tunewright.cli.view import View
from tunewright.domain.errors import UsageError
from tunewright.domain.review import Answer
from tunewright.domain.study import Study
from tunewright.tools.analysis.words import difference_words

PLAN = "[a]pprove  [r]eject with a reason  [w]hy  [q] later ? "
BATCH = "[a]ll  [1,2] some  [e 2] edit  [r 1] reject with a reason  [?] details  [q] later ? "

Ask = Callable[[str], str]
"""Shows a prompt and gives what was typed; ``EOFError`` where the person is done."""
Check = Callable[[Study, Sequence[Answer]], None]
"""Raises ``UsageError`` where answers to questions do not hold."""


class TerminalReviewer:
    """A ``Reviewer`` that asks at the terminal. Ctrl-D, Ctrl-C and ``q`` keep the rest for later."""

    def __init__(self, view: View, ask: Ask | None = None, check: Check = lambda study, answers: None) -> None:
        self._view = view
        self._ask = ask or self._input
        self._check = check
        self._later: set[str] = set()
        """Questions that the person has put off."""
        self._editor = Editor(self._ask, self._say)

    def __call__(self, study: Study, targets: Sequence[str]) -> Sequence[Answer] | None:
        """Asks until every target is answered; what is left open when the person stops is not in the answers."""
        answers: list[Answer] = []
        if self._later.issuperset(targets):
            return None
        with self._view.still(), _interruptible(), contextlib.suppress(EOFError, KeyboardInterrupt):
            self._view.show(study, targets)
            if tuple(targets) == ("plan",):
                self._plan(study, answers)
            elif study.doubts.open:
                self._questions(study, targets, answers)
            else:
                self._batch(study, list(targets), answers)
        return answers or None

    def _plan(self, study: Study, answers: list[Answer]) -> None:
        while not answers:
            match _words(self._ask(PLAN)):
                case ["a" | "approve"]:
                    answers.append(Answer(target="plan", action="approve"))
                case ["r" | "reject", *rest]:
                    answers.append(Answer(target="plan", action="reject", reason=self._reason(rest)))
                case ["w" | "why"] if study.plan is not None:
                    self._view.say(*why_lines(study.plan))
                case ["q" | "quit"]:
                    return
                case []:
                    pass
                case typed:
                    self._say(f"'{' '.join(typed)}' is none of a, r, w, q")

    def _questions(self, study: Study, targets: Sequence[str], answers: list[Answer]) -> None:
        self._later = set(targets)  # unless all are answered: what is put off is not asked again at once
        if ask_questions(study, targets, self._ask, self._say, self._check, answers):
            self._later = set()

    def _batch(self, study: Study, left: list[str], answers: list[Answer]) -> None:
        while left:
            typed = _words(self._ask(BATCH))
            if typed in (["q"], ["quit"]):
                return
            try:
                given = self._answer(study, left, typed)
            except UsageError as error:
                self._say(f"{error.message}; {error.hint}" if error.hint else error.message)
                continue
            answers += given
            left = [target for target in left if target not in {answer.target for answer in given}]
            if given and left:
                self._say(f"still open: {', '.join(map(number_of, left))}")

    def _answer(self, study: Study, left: Sequence[str], typed: list[str]) -> list[Answer]:
        match typed:
            case []:
                return []
            case ["a" | "all"]:
                return [Answer(target=target, action="approve") for target in left]
            case ["?" | "details", *rest]:
                for target in targets_of(" ".join(rest) or "all", left):
                    self._view.say(*detail_lines(study, target))
                return []
            case ["r" | "reject", number, *rest]:
                targets = targets_of(number, left)
                reason = self._reason(rest)
                return [Answer(target=target, action="reject", reason=reason) for target in targets]
            case ["e" | "edit", number]:
                [target] = targets_of(number, left)[:1]
                return self._edit(study, target)
            case ["r" | "reject" | "e" | "edit"]:
                raise UsageError("which one?", f"for example: {typed[0][0]} {number_of(left[0])}")
            case _:
                return [Answer(target=target, action="approve") for target in targets_of(" ".join(typed), left)]

    def _edit(self, study: Study, target: str) -> list[Answer]:
        changed = self._editor.edit(study, target)
        if changed is None:
            self._say("not changed")
            return []
        recipe, edits = changed
        self._say(f"edited: {difference_words(recipe, study.proposals[target].recipe)}")
        return [Answer(target=target, action="edit", edits=edits)]

    def _reason(self, words: list[str]) -> str:
        """A rejection owes a reason: the search is told."""
        reason = " ".join(words)
        while not reason:
            reason = self._ask("why? ").strip()
        return reason

    def _say(self, text: str) -> None:
        self._view.say(Line(text))

    def _input(self, prompt: str) -> str:
        self._view.console.print(prompt, end="", soft_wrap=True)
        return input()


def _words(typed: str) -> list[str]:
    return typed.strip().split()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C at a prompt ends the asking, whatever it does while the study runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
