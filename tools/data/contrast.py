"""Which columns hold two answers to compare, or one and what somebody thought of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PREFERENCE_FIELDS = (
    ("chosen", "rejected"),
    ("preferred", "rejected"),
    ("preferred", "dispreferred"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("accepted", "rejected"),
    ("better", "worse"),
    ("winner", "loser"),
)
"""Columns of a better and a worse answer."""
PROMPT_FIELDS = ("prompt", "question", "instruction", "query", "problem", "input", "context", "messages")
JUDGEMENT_FIELDS = ("label", "good", "is_good", "judgement", "judgment", "verdict", "liked", "desirable", "feedback")
GOOD = frozenset(
    ("true", "yes", "good", "1", "+1", "+", "positive", "desirable", "liked", "like", "up", "chosen", "accepted")
)
BAD = frozenset(
    ("false", "no", "bad", "0", "-1", "-", "negative", "undesirable", "disliked", "dislike", "down", "rejected")
)
"""Spellings of a judgement."""


def preference_columns(by_name: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The prompt, the better and the worse answer; where answers begin with their prompt, the better one twice.

    Args:
        by_name: lower-case name -> column.
    """
    for chosen, rejected in PREFERENCE_FIELDS:
        if chosen in by_name and rejected in by_name:
            prompt = next((by_name[name] for name in PROMPT_FIELDS if name in by_name), by_name[chosen])
            return prompt, by_name[chosen], by_name[rejected]
    return None


def judged_columns(
    by_name: Mapping[str, str],
    sample: Sequence[Mapping[str, Any]],
    pairs: Iterable[tuple[str, str]],
    *,
    sure: bool = False,
) -> tuple[str, str, str] | None:
    """The prompt, the answer, and whether it is good.

    Args:
        by_name: lower-case name -> column.
        pairs: names of a prompt and of its answer.
        sure: whether the format is known. Otherwise the column has to hold truth values or words such as good and bad,
            since 0 and 1 may as well be labels of a text and a question.
    """
    answered = [pair for pair in pairs if set(pair) <= by_name.keys()]
    for name in JUDGEMENT_FIELDS:
        if name not in by_name or not answered or name in answered[0]:
            continue
        values = [row.get(by_name[name]) for row in sample]
        if sure or all(judgement(value, words_only=True) is not None for value in values):
            prompt, answer = answered[0]
            return by_name[prompt], by_name[answer], by_name[name]
    return None


def judgement(value: Any, *, words_only: bool = False) -> bool | None:
    """Whether a judgement says good, in any usual spelling; None if it says neither.

    Args:
        words_only: numbers say neither.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return None if words_only else {1.0: True, 0.0: False, -1.0: False}.get(float(value))
    said = value.strip().casefold() if isinstance(value, str) else ""
    if words_only and said in ("1", "0", "-1"):
        return None
    return True if said in GOOD else False if said in BAD else None
