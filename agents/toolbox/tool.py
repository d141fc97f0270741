"""What a tool of the team is: the contract of the files in ``tools/``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from tunewright.agents.context.pins import closed
from tunewright.agents.prompt import quoted
from tunewright.domain.study import Study

MOST_CHARACTERS = 2_000
"""Of an answer."""


def _untitled(schema: dict[str, Any]) -> None:
    """Without titles, which repeat the names and are billed with every question."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


class Arguments(BaseModel):
    """Base of a tool's arguments: strict, so that a model learns of a wrong type instead of getting another answer.
    Every field has bounds and a description, which is all that the model is told of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra=_untitled)


A = TypeVar("A", bound=Arguments)
R = TypeVar("R")


class StudyTool(ABC, Generic[A, R]):
    """A question about a study. A file defines one object ``TOOL``; what is heavy is imported when it is called."""

    name: ClassVar[str]
    """The file's name: letters, digits and underscores."""
    description: ClassVar[str]
    """One paragraph: what it gives, and when it is of use. A language model reads it."""
    Arguments: type[A]

    @abstractmethod
    def run(self, study: Study, folder: Path, arguments: A) -> R:
        """The answer as data. Writes nothing, and reads only the study and what ``access`` gives.

        Args:
            folder: the study's.

        Raises:
            UsageError: the arguments name what is not there, or ask for what cannot be told; the hint says what can.
        """

    @abstractmethod
    def said(self, result: R) -> str:
        """The answer in words, the most important first, as lines; the registry cuts it to its bound. Text of other
        people, programs and models is quoted.
        """


def bounded(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text within ``most`` characters: whole lines, and how much is left out."""
    if len(text) <= most:
        return text
    note = "\n[left out: {} more characters, in {} lines or parts of lines; ask for less at a time]"
    room = most - len(note.format(len(text), text.count("\n") + 1))
    lines = text.split("\n")
    kept: list[str] = []
    for line in lines:
        if len("\n".join([*kept, line])) > room:
            break
        kept.append(line)
    if not kept:  # a line longer than the bound is cut, and quotes that it opens are closed
        kept = [closed(lines[0][: max(0, room - 5)])]
    said = "\n".join(kept)
    return said + note.format(len(text) - len(said), len(lines) - len(kept))


def cut_quoted(text: Any, most: int) -> str:
    """A quotation of at most about ``most`` characters, with what is left out of it said behind it."""
    said = str(text)
    if len(said) <= most:
        return quoted(said)
    return f"{quoted(said[:most])} and {len(said) - most:,} characters more"
