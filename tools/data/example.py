"""A raw row as an example: what goes in, what is to come out, and the rest kept beside it."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.domain.task import RowFormat, TaskSpec
from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.rows import Message

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""Spellings of a role -> the role, ShareGPT's among them."""


@dataclass(frozen=True)
class Example:
    """One row, read as the task says."""

    source: str
    input: str
    target: str
    meta: dict[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()


def read_example(row: Mapping[str, Any], task: TaskSpec, source: str, context: str | None) -> Example | BadRow:
    """The example in a raw row, or why there is none.

    Args:
        row: as it was read.
        task: names the fields.
        source: the data source's name.
        context: column whose text is put after the input's, see ``layout.context_field``.
    """
    used = {task.input_field, task.target_field, context}
    missing = [name for name in dict.fromkeys((task.input_field, task.target_field)) if name not in row]
    if missing:
        return BadRow(f"has no field '{missing[0]}', only {', '.join(map(repr, row)) or 'nothing'}")
    meta = {name: _plain(value) for name, value in row.items() if name not in used}
    if task.format == "chat":
        return _chat(row[task.input_field], task.input_field, source, meta)
    text = _text(row[task.input_field], task.input_field)
    target = _text(row[task.target_field], task.target_field)
    added = _text(row.get(context), context) if context else ""
    for value in (text, target, added):
        if isinstance(value, BadRow):
            return value
    assert isinstance(text, str) and isinstance(target, str) and isinstance(added, str)
    if not target.strip():
        return BadRow(f"has an empty '{task.target_field}'")
    if added.strip():
        text = f"{text}\n\n{added}"
    return Example(source=source, input=text, target=_trimmed(target, task.format), meta=meta)


def _trimmed(target: str, kind: RowFormat) -> str:
    """Labels lose the space around them, which nobody means; a completion is kept as it is."""
    return target.strip() if kind == "label" else target


def _text(value: Any, name: str) -> str | BadRow:
    """A scalar as text: numbers and truth values as JSON spells them, nothing as the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return BadRow(f"has a {type(value).__name__} in '{name}', expected text")


def _chat(value: Any, name: str, source: str, meta: dict[str, Any]) -> Example | BadRow:
    """The turns up to the last one of the assistant, which is the target."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return BadRow(f"has no messages in '{name}', expected a list of objects with role and content")
    turns: list[Message] = []
    for number, turn in enumerate(value, start=1):
        message = _message(turn)
        if isinstance(message, BadRow):
            return BadRow(f"message {number} in '{name}' {message.reason}")
        turns.append(message)
    while turns and (turns[-1]["role"] != "assistant" or not turns[-1]["content"].strip()):
        turns.pop()
    if not turns:
        return BadRow(f"has no answer of the assistant in '{name}'")
    shown = "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns[:-1])
    return Example(source=source, input=shown, target=turns[-1]["content"], meta=meta, messages=tuple(turns))


def _message(turn: Any) -> Message | BadRow:
    if not isinstance(turn, Mapping):
        return BadRow("is no object with role and content")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str) or role not in ROLES:
        return BadRow(f"has the role {role!r}, expected system, user, assistant or tool")
    if isinstance(content, Sequence) and not isinstance(content, str):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) < len(parts):
            return BadRow("has a part that is not text")
        content = "".join(texts)
    if content is not None and not isinstance(content, str):
        return BadRow(f"has a {type(content).__name__} as content, expected text")
    return Message(role=ROLES[role], content=content or "")


def _plain(value: Any) -> Any:
    """A column's value as JSON can hold it. Bytes (images, audio) are named by their digest, not copied."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case bytes():
            return f"sha256:{hashlib.sha256(value).hexdigest()}"
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
