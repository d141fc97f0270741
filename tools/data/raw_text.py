"""Raw text: read from plain files, and cut into pieces that a training example holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.jsonl import not_utf8

COLUMN = "text"
CHARACTERS_A_TOKEN = 3
"""Fewer than most tokenizers put into one for English prose, so that a piece seldom has to be cut again."""


def text_rows(content: bytes, path: str) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """The whole file as one row with the column ``text``.

    Raises:
        DataError: not UTF-8.
    """
    try:
        yield 1, {COLUMN: content.decode("utf-8")}
    except UnicodeDecodeError as error:
        raise not_utf8(content, error, path) from None


def pieces(text: str, size: int) -> list[str]:
    """The text in pieces of at most ``size`` characters, cut at white space; a longer word is cut within.

    Between two pieces only white space is lost. A piece ends with a paragraph rather than in one, if that costs no more
    than a quarter of it.
    """
    found: list[str] = []
    rest = text.strip()
    while len(rest) > size:
        end = rest.rfind("\n\n", size - size // 4, size + 1)
        if end <= 0:
            end = next((at for at in range(size, 0, -1) if rest[at].isspace()), size)
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*found, rest] if rest else found
