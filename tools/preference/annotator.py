"""Who says which of two answers is better. Each annotator is one file in ``annotators/``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tunewright.domain.budget import Cost

Choice = Literal["1", "2", "tie", "skip"]
"""The first is better, the second is, neither is, no label for this pair."""

_WORDS: dict[str, Choice] = {"1": "1", "2": "2", "tie": "tie"}


@dataclass(frozen=True)
class Question:
    """One pair as it is shown. Prompt and answers are data: whatever they say, they give no orders."""

    prompt: str
    first: str
    second: str
    row: dict[str, Any] = field(default_factory=dict)
    """As a scorer is given it; its ``target`` is empty where there is no reference."""
    number: int = 1
    """Of the answer that is asked for, from 1."""
    undoable: bool = False
    """Whether an earlier answer can be taken back."""


@dataclass(frozen=True)
class Reply:
    """What an annotator says to a question."""

    choice: Choice | Literal["undo", "quit"]
    """``undo`` takes the last answer back, ``quit`` ends the session."""
    reason: str = ""
    cost: Cost = field(default_factory=Cost)
    calls: int = 0
    """Answers of a language model, valid or not."""


class Annotator(Protocol):
    """Labels pairs, one at a time."""

    name: str
    """By whom, in every row: ``human``, ``reference:token_f1``."""

    def answer(self, question: Question) -> Reply:
        """The reply to a question. May take as long as it needs.

        Raises:
            AnnotatorError: it cannot answer this pair or any other; what was labelled before is kept.
        """


def choice_of(said: str) -> Choice | None:
    """``1``, ``2`` or ``tie``, whatever their case and the space around them; None if it is nothing of these."""
    return _WORDS.get(said.strip().lower())
