"""The reader of frozen rows: all that the sandbox needs of the data, so it imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from tunewright.domain.errors import DataError, boundary


class Message(TypedDict):
    """One turn of a chat. ``role`` is ``system``, ``user``, ``assistant`` or ``tool``."""

    role: str
    content: str


class Row(TypedDict):
    """One line of a frozen split. A plain mapping, so that it is what a ``Scorer`` is given."""

    id: str
    """16 hexadecimal characters of the content's hash; the n-th copy of a content ends in ``-n``, from 2."""
    source: str
    input: str
    target: str
    messages: NotRequired[list[Message]]
    """Format ``chat``, and others whose prompt is a conversation: its last message is the assistant's, and its text is
    ``target``."""
    rejected: NotRequired[str]
    """Format ``preference`` only: the worse answer; ``target`` is the better one."""
    good: NotRequired[bool]
    """Format ``judged`` only: whether ``target`` is a good answer."""
    raw: NotRequired[bool]
    """Format ``text`` only, and then true: ``target`` is text that no prompt goes before; ``input`` is empty."""
    meta: dict[str, Any]
    """The row's other columns, as they came."""


REQUIRED = ("id", "source", "input", "target", "meta")


def load_rows(path: Path) -> list[Row]:
    """The rows of a frozen split, in the file's order, which is a random one.

    Raises:
        DataError: the file cannot be read, or is not one that ``freeze`` wrote.
    """
    with boundary(DataError, f"read the frozen rows of '{path.name}'", "freeze the study's data again"):
        lines = path.read_bytes().split(b"\n")
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or any(key not in row for key in REQUIRED):
            raise DataError(
                f"{path} line {number} is not a frozen row: expected an object with {', '.join(REQUIRED)}",
                "freeze the study's data again",
            )
        rows.append(Row(**row))  # type: ignore[typeddict-item]  # the keys were checked above
    return rows
