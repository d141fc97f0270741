"""Rows with answers to compare or to judge: the prompt is found wherever data sets keep it.

It stands in a column of its own, as text or as messages; or both answers begin with it, as messages, in the form of
Anthropic's HH (``Human:`` and ``Assistant:`` in turn), or as plain text with the same beginning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.contrast import judgement
from tunewright.tools.data.layout import Layout
from tunewright.tools.data.rows import Message
from tunewright.tools.data.value import added, as_text, turns_of

_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \n]?")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}
Said = list[Message] | str
"""An answer with the turns before it, or alone."""


@dataclass(frozen=True)
class Answered:
    """What is in a row: a conversation and the answers to it."""

    conversation: list[Message]
    """Up to the answer."""
    target: str
    rejected: str | None = None
    good: bool | None = None


def read_preference(row: Mapping[str, Any], layout: Layout, context: str | None) -> Answered | BadRow:
    """A prompt with a better and a worse answer, or why there is none.

    Args:
        context: column whose text is put after the prompt's, see ``layout.context_field``.
    """
    assert layout.contrast_field is not None
    better, worse = layout.target_field, layout.contrast_field
    chosen, rejected = _answer(row[better], better), _answer(row[worse], worse)
    prompt = [] if layout.input_field in (better, worse) else _prompt(row, layout.input_field, context)
    for found in (chosen, rejected, prompt):
        if isinstance(found, BadRow):
            return found
    assert not isinstance(chosen, BadRow) and not isinstance(rejected, BadRow) and not isinstance(prompt, BadRow)
    for name, answer in ((better, chosen), (worse, rejected)):
        if not answer:
            return BadRow(f"has an empty '{name}'")
    if not prompt:
        prompt, chosen, rejected = _divided(chosen, rejected)
    turns = _spoken(chosen), _spoken(rejected)
    shared = min(_alike(*turns), len(turns[0]) - 1, len(turns[1]) - 1)
    ends = turns[0][shared:], turns[1][shared:]
    for name, end in ((better, ends[0]), (worse, ends[1])):
        if len(end) != 1 or end[0]["role"] != "assistant":
            return BadRow(f"has in '{name}' other turns before its last answer than the other answer has")
        if not end[0]["content"].strip():
            return BadRow(f"has an empty '{name}'")
    conversation = _joined(prompt, turns[0][:shared])
    said, other = ends[0][0]["content"], ends[1][0]["content"]
    if said.strip() == other.strip():
        return BadRow(f"has the same answer in '{better}' and '{worse}'")
    if not conversation:
        return BadRow(f"has no prompt: '{better}' and '{worse}' do not begin alike")
    return Answered(conversation, said, rejected=other)


def read_judged(row: Mapping[str, Any], layout: Layout, context: str | None) -> Answered | BadRow:
    """A prompt with an answer that is good or bad, or why there is none.

    Args:
        context: column whose text is put after the prompt's, see ``layout.context_field``.
    """
    assert layout.contrast_field is not None
    good = judgement(row[layout.contrast_field])
    if good is None:
        return BadRow(
            f"has {row[layout.contrast_field]!r} in '{layout.contrast_field}', expected true or false, or good or bad"
        )
    answer = _answer(row[layout.target_field], layout.target_field)
    prompt = _prompt(row, layout.input_field, context)
    for found in (answer, prompt):
        if isinstance(found, BadRow):
            return found
    assert not isinstance(answer, BadRow) and not isinstance(prompt, BadRow)
    turns = _spoken(answer)
    if not turns or not turns[-1]["content"].strip():
        return BadRow(f"has an empty '{layout.target_field}'")
    if turns[-1]["role"] != "assistant":
        return BadRow(f"has no answer of the assistant in '{layout.target_field}'")
    return Answered(_joined(prompt, turns[:-1]), turns[-1]["content"], good=good)


def _answer(value: Any, name: str) -> Said | BadRow:
    """Messages, or text."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return turns_of(value, name) if value else []
    return as_text(value, name)


def _prompt(row: Mapping[str, Any], name: str, context: str | None) -> list[Message] | BadRow:
    """The conversation before the answer; a text is one turn of it."""
    found = _answer(row[name], name)
    if not isinstance(found, str):
        return found
    whole = added(found, row, context)
    return whole if isinstance(whole, BadRow) else [Message(role="user", content=whole)]


def _spoken(answer: Said) -> list[Message]:
    return [Message(role="assistant", content=answer)] if isinstance(answer, str) else answer


def _divided(chosen: Said, rejected: Said) -> tuple[list[Message], Said, Said]:
    """What two texts begin with as the prompt, and the rest of both; texts in HH's form as their turns."""
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        return [], chosen, rejected
    if (one := _turns(chosen)) and (other := _turns(rejected)):
        return [], one, other
    begin = _shared_beginning(chosen, rejected)
    prompt = [Message(role="user", content=begin.rstrip())] if begin.strip() else []
    return prompt, chosen[len(begin) :].lstrip(), rejected[len(begin) :].lstrip()


def _turns(text: str) -> list[Message]:
    """The turns of a text in HH's form; none if it is in another."""
    marks = list(_TURN.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [
        Message(role=_SPEAKERS[mark[1]], content=text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    ]


def _alike(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many elements the two have in common from the first."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (mine, yours) in pairs if mine != yours), min(len(one), len(other)))


def _shared_beginning(one: str, other: str) -> str:
    """What both texts begin with, up to the end of a word."""
    begin = one[: _alike(one, other)]
    if all(len(text) == len(begin) or text[len(begin)].isspace() for text in (one, other)):
        return begin
    return begin[: max((at + 1 for at, mark in enumerate(begin) if mark.isspace()), default=0)]


def _joined(prompt: list[Message], before: list[Message]) -> list[Message]:
    """The prompt and the turns before the answer, of which the first are often the prompt once more."""
    if not prompt or not before:
        return prompt or before
    if before[: len(prompt)] == prompt:
        return before
    asked = prompt[-1]["content"].strip()
    return before if any(turn["content"].strip() == asked for turn in before) else [*prompt, *before]
