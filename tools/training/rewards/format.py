"""Whether the answer has given tags in their order: reasons first, then the answer. DeepSeek-R1, arXiv 2501.12948,
section 2.2.2.

The paper rewards reasoning between ``<think>`` and ``</think>``. Which tags, and a part of the reward for a part of the
tags, are ours.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.reward import Court, Judge, RewardMethod, each

Tag = Annotated[str, StringConstraints(pattern=r"^[\w-]+$")]


class FormatConfig(MethodConfig):
    """Which tags, and how strictly."""

    tags: tuple[Tag, ...] = Field(("think", "answer"), min_length=1)
    """Their names in order; each must be opened and closed once before the next is opened."""
    whole: bool = True
    """Whether nothing but white space may stand outside them."""
    partial: bool = False
    """Whether an answer that breaks the format gets half of the share of marks that come exactly once."""


class Format(RewardMethod):
    """1 for an answer in the format, 0 for any other."""

    kind = "format"
    summary = "the tags are there, once each and in order: 1, else 0"
    source = "arXiv 2501.12948"
    names = ("format reward", "tag format")
    plain_word = True
    Config = FormatConfig
    apart = False

    def open(self, settings: Any, court: Court) -> Judge:
        """Looks for the tags as they are written."""
        marks = [mark for tag in settings.tags for mark in (f"<{tag}>", f"</{tag}>")]

        def score(text: str, row: Row) -> float:
            if _keeps(text, marks, settings.whole):
                return 1.0
            return 0.5 * sum(text.count(mark) == 1 for mark in marks) / len(marks) if settings.partial else 0.0

        return each(score)


def _keeps(text: str, marks: list[str], whole: bool) -> bool:
    if [text.count(mark) for mark in marks] != [1] * len(marks):
        return False
    places = [text.index(mark) for mark in marks]
    if places != sorted(places):
        return False
    pieces = re.split("|".join(map(re.escape, marks)), text)
    return not whole or not "".join(pieces[::2]).strip()


METHOD = Format()
