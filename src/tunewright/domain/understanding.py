"""What was read in a brief, what is asked about it, and what was answered: the events, and how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tunewright.domain.budget import Budget
from tunewright.domain.frozen import Frozen
from tunewright.domain.moment import Moment
from tunewright.domain.plain import plain
from tunewright.domain.task import TaskSpec, Wishes

MOST_QUESTIONS = 3
MOST_OPTIONS = 4
ANSWER_CHARACTERS = 500
Topic = Literal["metric", "target", "input", "search", "size", "memory", "budget", "data"]
"""What an answer could change of a reading."""
By = Literal["person", "policy", "recording"]
"""``policy``: nobody was there to ask, so the assumption holds; ``recording``: as it was answered in the study that is
replayed."""


def _line(most: int) -> BeforeValidator:
    return BeforeValidator(lambda value: plain(value, most) if isinstance(value, str) else value)


_Text = Annotated[str, _line(300), Field(min_length=1)]


class Question(Frozen):
    """Something that the brief leaves open. Its text may be a language model's: it is kept on one line, bounded."""

    id: str
    """``q1`` to ``q3``."""
    text: _Text
    about: Topic
    why: Annotated[str, _line(200)] = ""
    """What the answer changes."""
    assumption: _Text
    """What is taken where nobody answers."""
    options: tuple[Annotated[str, _line(80), Field(min_length=1)], ...] = Field((), max_length=MOST_OPTIONS)
    """Short answers to choose from."""

    def chosen(self, answer: str) -> str:
        """The answer on one line, an option's number as that option's words; nothing means the assumption."""
        said = plain(answer, ANSWER_CHARACTERS)
        if said.isdecimal() and 1 <= int(said) <= len(self.options):
            return self.options[int(said) - 1]
        return said

    @property
    def assumed(self) -> str:
        """For the notes of a plan."""
        return f"assumed: {self.assumption} (asked: {self.text})"


class Understood(Moment):
    """The brief was read."""

    kind: Literal["understood"] = "understood"
    task: TaskSpec
    budget: Budget
    wishes: Wishes = Wishes()
    notes: tuple[str, ...] = ()
    """What was assumed, and words of the brief that nothing was made of."""
    questions: tuple[Question, ...] = Field((), max_length=MOST_QUESTIONS)
    """What it leaves open; none once they are answered."""
    by: str = "rules"


class Wondered(Moment):
    """The brief was read and leaves something open that is asked first. Written once a study."""

    kind: Literal["wondered"] = "wondered"
    reading: Understood
    """What holds if nobody answers; its questions are those that are asked."""


class Clarified(Moment):
    """One question is answered."""

    kind: Literal["clarified"] = "clarified"
    question: str
    answer: Annotated[str, _line(ANSWER_CHARACTERS)] = ""
    """In the person's words; nothing means that the assumption holds."""
    by: By = "person"


class Exchange(Frozen):
    """A question with its answer."""

    question: Question
    answer: str = ""
    """Nothing means that the assumption holds."""
    by: By = "person"


class Doubts:
    """What was asked about a brief and how it was answered; kept by ``fold`` as it goes."""

    def __init__(self) -> None:
        self.reading: Understood | None = None
        """The reading that left something open; None where none did."""
        self._answers: dict[str, Clarified] = {}

    def fold(self, one: Wondered | Clarified) -> None:
        """Takes one event in."""
        match one:
            case Wondered():
                self.reading = one.reading
            case Clarified():
                self._answers[one.question] = one

    def after(self, answers: Sequence[Clarified]) -> Doubts:
        """As they would stand with these answers."""
        found = Doubts()
        found.reading, found._answers = self.reading, self._answers | {one.question: one for one in answers}
        return found

    @property
    def questions(self) -> tuple[Question, ...]:
        return self.reading.questions if self.reading is not None else ()

    @property
    def open(self) -> tuple[Question, ...]:
        """Those that nobody has answered yet."""
        return tuple(one for one in self.questions if one.id not in self._answers)

    @property
    def settled(self) -> tuple[Exchange, ...]:
        """Those that were answered, or for which the assumption holds."""
        return tuple(
            Exchange(question=one, answer=self._answers[one.id].answer, by=self._answers[one.id].by)
            for one in self.questions
            if one.id in self._answers
        )

    @property
    def answered(self) -> bool:
        """Whether any has an answer in words."""
        return any(one.answer for one in self.settled)
