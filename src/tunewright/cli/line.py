"""One line for a person: a label, maybe a second one, and the text."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "good", "bad", "warn", "faint"]

LABEL = 13
"""Columns of a label."""
SUB = 10


@dataclass(frozen=True)
class Line:
    """``label`` starts a block; lines of the block under it leave it empty."""

    text: str
    label: str = ""
    sub: str = ""
    tone: Tone = "plain"
    indent: int = 0

    @property
    def head(self) -> str:
        """Everything before the text, padded so that texts of a block stand under each other."""
        labelled = self.label or (self.sub and not self.indent)
        label = _padded(self.label, LABEL) if labelled else ""
        return " " * self.indent + label + (_padded(self.sub, SUB) if self.sub else "")

    def rows(self, width: int | None = None) -> list[str]:
        """The line as text, folded under itself at ``width`` columns; whole where there is no width."""
        whole = self.head + self.text
        if width is None or len(whole) <= width:
            return [whole.rstrip()]
        hang = " " * (len(self.head) or 4)
        return textwrap.wrap(
            whole, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
        )


def _padded(word: str, width: int) -> str:
    """At least one space follows, also where the word is too long for its column."""
    return f"{word:<{width - 1}} "
