"""What a file is for, as the words around its name say: to measure on, to train on alone, or general data.

A file of which nothing is said is for both: some of its rows are trained on, others are held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from tunewright.agents.brief.text import CLAIMED, Text, like

Role = Literal["data", "held out", "trained", "general"]
"""``data``: nothing is said of it. One file may be named for several."""

_TESTS = (
    r"(?:test(?:ed|ing|s)?|evaluat(?:e[ds]?|ing|ion)|validat(?:e[ds]?|ing|ion)|measur(?:e[ds]?|ing|ement)|"
    r"scor(?:e[ds]?|ing))"
)
_HELD_OUT = like(
    rf"\b(?:{_TESTS}|held[- ]out|hold[- ]?out|dev|eval)(?: (?:it|only|just|the \w+|set|data|split|file|rows|is|in))*"
    r"(?: (?:on|with|against|using|from|in|by))?(?: (?:the |only|just|both|rows of|messages in))*[ :=]*[\"'`]?$"
)
_NOT = like(r"(?:\b(?:not|never|without|no)\b|n't\b)[ ]*(?:to |be |being |ever )*[ ]*$")
_ONLY_TRAINS = (
    rf"(?:for training (?:only|alone)|(?:only|just) (?:for training|trained on|to train on)|training(?: data)? only|"
    rf"(?:is |are )?trained on (?:only|alone)|(?:for training |trained on |to train on )?(?:and |but |,[ ]*)*"
    rf"(?:never|not|do not|don't)(?: to be)? {_TESTS}(?: on)?(?: it| them)?)"
)
_TRAINED = like(
    r"[\"'`]?[ ]*(?P<all>,?[ ]*(?:are |both |which are |that are )+)?"
    rf"(?:,?[ ]*(?:is |which is |that is |it is )|[(]|[,:][ ]*)?{_ONLY_TRAINS}[)]?"
)
_GENERAL = r"(?:general(?:[ -]purpose)?|replay(?:ed)?) (?:data|rows|text|examples)"
_GENERAL_BEFORE = like(rf"\b{_GENERAL}(?: (?:from|in|of|is|are|out of))*[ :(]*[\"'`]?$")
_GENERAL_AFTER = like(rf"[\"'`]?[ ]*(?:,?[ ]*(?:is|are|as|which is|holds?|has)|[(])[ ]*(?:only |just )?{_GENERAL}[)]?")
_STRUNG = like(r"[\"'`]?[ ]*(?:,|and|or|&|\+|[ ])+[ ]*(?:the |rows of )*[\"'`]?")


def read_roles(text: Text, mentions: Sequence[tuple[int, str]]) -> dict[str, set[Role]]:
    """Path -> what its mentions say that it is for, in the order in which the files are first named.

    Claims the words that say it.

    Args:
        mentions: where each name begins, which has been claimed, and the path that is meant; ascending.
    """
    spans = [(at, _end(text, at)) for at, _ in mentions]
    said = [_said(text, *span) for span in spans]
    backward = [role == "trained" and _of_all(text, end) for role, (_, end) in zip(said, spans, strict=True)]
    strung = [_STRUNG.fullmatch(text.rest[end:at]) is not None for (_, end), (at, _) in pairwise(spans)]
    for number, together in enumerate(strung):  # "measure on a.jsonl and b.jsonl"
        if together and said[number + 1] == "data":
            said[number + 1] = said[number]
    for number in reversed(range(len(strung))):  # "a.jsonl and b.jsonl are for training only"
        if strung[number] and backward[number + 1] and said[number] == "data":
            said[number], backward[number] = "trained", True
    roles: dict[str, set[Role]] = {}
    for (_, path), (_, end), role in zip(mentions, spans, said, strict=True):
        roles.setdefault(path, set()).add(role)
        _claim(text, end, role)
    return roles


def _said(text: Text, start: int, end: int) -> Role:
    """What the words before and after one name say of it."""
    first, last = text.sentence(start)
    before, after = text.rest[first:start], text.rest[end:last]
    if _TRAINED.match(after):
        return "trained"
    if _GENERAL_BEFORE.search(before) or _GENERAL_AFTER.match(after):
        return "general"
    tests = _HELD_OUT.search(before)
    if tests is None:
        return "data"
    return "trained" if _NOT.search(before[: tests.start()]) else "held out"


def _of_all(text: Text, end: int) -> bool:
    match = _TRAINED.match(text.rest, end)
    return match is not None and bool(match["all"])


def _claim(text: Text, end: int, role: Role) -> None:
    pattern = {"trained": _TRAINED, "general": _GENERAL_AFTER}.get(role)
    match = pattern.match(text.rest, end) if pattern is not None else None
    if match is not None:
        text.claim(*match.span())


def _end(text: Text, start: int) -> int:
    """Where a claimed name ends."""
    end = start
    while end < len(text.rest) and text.rest[end] == CLAIMED:
        end += 1
    return end
