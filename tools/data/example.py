"""A raw row as an example: what goes in, what is to come out, and the rest kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tunewright.domain.task import RowFormat
from tunewright.tools.data.answers import Answered, read_judged, read_preference
from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.layout import Layout
from tunewright.tools.data.raw_text import pieces
from tunewright.tools.data.rows import Message
from tunewright.tools.data.value import added, as_text, plain, shown, turns_of


@dataclass(frozen=True)
class Example:
    """One row, read as its source's layout says."""

    source: str
    input: str
    target: str
    meta: dict[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    rejected: str | None = None
    """The worse answer of a preference."""
    good: bool | None = None
    """Of a judged answer."""
    raw: bool = False
    """Whether ``target`` is raw text."""

    @property
    def content(self) -> tuple[str, str]:
        """The input, and all that is to be learned after it: what tells two examples apart."""
        more = [] if self.rejected is None else [self.rejected]
        more += [] if self.good is None else [str(self.good)]
        return self.input, "\x1e".join([self.target, *more])


def read_example(
    row: Mapping[str, Any], layout: Layout, source: str, context: str | None, size: int
) -> list[Example] | BadRow:
    """The examples in a raw row, or why there are none. One, but for long raw text.

    Args:
        row: as it was read.
        layout: says the format and names the fields.
        source: the data source's name.
        context: column whose text is put after the input's, see ``layout.context_field``.
        size: characters of a piece of raw text.
    """
    missing = [name for name in layout.fields if name not in row]
    if missing:
        return BadRow(f"has no field '{missing[0]}', only {', '.join(map(repr, row)) or 'nothing'}")
    found = _read(row, layout, context, size)
    if isinstance(found, BadRow):
        return found
    meta = {name: plain(value) for name, value in row.items() if name not in {*layout.fields, context}}
    return [replace(one, source=source, meta=meta) for one in found]


def _read(row: Mapping[str, Any], layout: Layout, context: str | None, size: int) -> list[Example] | BadRow:
    """What ``read_example`` gives, without source and meta."""
    found: Example | Answered | BadRow
    match layout.format:
        case "chat":
            found = _chat(row[layout.input_field], layout.input_field)
        case "preference":
            found = read_preference(row, layout, context)
        case "judged":
            found = read_judged(row, layout, context)
        case "text":
            text = as_text(row[layout.target_field], layout.target_field)
            if isinstance(text, BadRow):
                return text
            cut = [Example(source="", input="", target=piece, raw=True) for piece in pieces(text, size)]
            return cut or BadRow(f"has an empty '{layout.target_field}'")
        case _:
            found = _answered(row, layout, context)
    if isinstance(found, Answered):
        found = _conversed(found)
    return found if isinstance(found, BadRow) else [found]


def _conversed(found: Answered) -> Example:
    """An answer after its prompt. One turn of the user is the input as it is; a longer conversation keeps its turns."""
    turns = found.conversation
    kept = Example(source="", input="", target=found.target, rejected=found.rejected, good=found.good)
    if len(turns) == 1 and turns[0]["role"] == "user":
        return replace(kept, input=turns[0]["content"])
    return replace(kept, input=shown(turns), messages=(*turns, Message(role="assistant", content=found.target)))


def _answered(row: Mapping[str, Any], layout: Layout, context: str | None) -> Example | BadRow:
    """A text with its label or completion."""
    text = as_text(row[layout.input_field], layout.input_field)
    whole = text if isinstance(text, BadRow) else added(text, row, context)
    target = as_text(row[layout.target_field], layout.target_field)
    for value in (whole, target):
        if isinstance(value, BadRow):
            return value
    assert isinstance(whole, str) and isinstance(target, str)
    if not target.strip():
        return BadRow(f"has an empty '{layout.target_field}'")
    return Example(source="", input=whole, target=_trimmed(target, layout.format))


def _trimmed(target: str, kind: RowFormat) -> str:
    """Labels lose the space around them, which nobody means; a completion is kept as it is."""
    return target.strip() if kind == "label" else target


def _chat(value: Any, name: str) -> Example | BadRow:
    """The turns up to the last one of the assistant, which is the target."""
    turns = turns_of(value, name)
    if isinstance(turns, BadRow):
        return turns
    while turns and (turns[-1]["role"] != "assistant" or not turns[-1]["content"].strip()):
        turns.pop()
    if not turns:
        return BadRow(f"has no answer of the assistant in '{name}'")
    return Example(source="", input=shown(turns[:-1]), target=turns[-1]["content"], messages=tuple(turns))
