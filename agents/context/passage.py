"""One piece of a study's history, and what of it is known before its text is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from tunewright.agents.context.tokens import line_tokens

Kind = Literal[
    "budget", "constraint", "trial", "fault", "verdict", "steering", "decision", "explanation", "lesson", "note"
]
Place = Mapping[str, float]
"""Where a trial's settings are: feature -> weight; trials of like settings have like weights."""


def nowhere() -> Place:
    """The place of what has no settings."""
    return {}


@dataclass(frozen=True, eq=False)
class Passage:
    """One line that a prompt may have. Its text is written when it is first asked for: most never are."""

    id: str
    """Unique, and what it is asked for by: ``t3``, ``t3.verdict``, ``l-3fa9c1d2``. Never altered."""
    kind: Kind
    order: tuple[int, ...]
    """Its place in time; compared with others'."""
    write: Callable[[], str]
    """Gives the text."""
    settings: Callable[[], Place] = nowhere
    prior: float = 0.0
    """What is known of its worth without reading it, from 0 to 1: how good and how new it is."""
    pin: int | None = None
    """Always in where it is set; the smaller, the longer it stays whole."""
    about: tuple[str, ...] = ()
    """Ids of the trials that it is about or comes from, its own not among them."""
    family: str = ""
    """What a trial is trained by, such as ``lora``."""
    score: float | None = None
    cause: str = ""
    """Of a fault: its kind."""

    @cached_property
    def text(self) -> str:
        """What stands behind the id; one line."""
        return " ".join(self.write().split())

    @cached_property
    def place(self) -> Place:
        return self.settings()

    @property
    def line(self) -> str:
        """Such as ``t3: score=0.81, status=completed``."""
        return f"{self.id}: {self.text}"

    @cached_property
    def tokens(self) -> int:
        """Of the line in a prompt's list."""
        return line_tokens(self.line)
