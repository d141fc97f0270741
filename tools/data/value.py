"""What stands in a column: as text, as the turns of a conversation, or as JSON keeps it."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

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


def as_text(value: Any, name: str) -> str | BadRow:
    """A scalar as text: numbers and truth values as JSON spells them, nothing as the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return BadRow(f"has a {type(value).__name__} in '{name}', expected text")


def added(text: str, row: Mapping[str, Any], context: str | None) -> str | BadRow:
    """The text with that of the column ``context`` after it."""
    more = as_text(row.get(context), context) if context else ""
    return more if isinstance(more, BadRow) else f"{text}\n\n{more}" if more.strip() else text


def shown(turns: Sequence[Message]) -> str:
    """A conversation as one text."""
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)


def turns_of(value: Any, name: str) -> list[Message] | BadRow:
    """A column's list of messages."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        return BadRow(f"has no messages in '{name}', expected a list of objects with role and content")
    turns: list[Message] = []
    for number, turn in enumerate(value, start=1):
        message = _message(turn)
        if isinstance(message, BadRow):
            return BadRow(f"message {number} in '{name}' {message.reason}")
        turns.append(message)
    return turns


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


def plain(value: Any) -> Any:
    """A column's value as JSON can hold it. Bytes (images, audio) are named by their digest, not copied."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case bytes():
            return f"sha256:{hashlib.sha256(value).hexdigest()}"
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
