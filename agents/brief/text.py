"""The brief as its readers see it: plain letters, sentences, and a record of what was made of each part.

Every reader claims the stretch it understood. A claimed stretch is read by no later reader, and what is
never claimed is shown to the user. Positions are those of the user's own text throughout.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache

CLAIMED = "\0"
"""Stands in ``rest`` for every character that was understood. No pattern of ours matches it."""

_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2015\u2212", "-"),
        "\u2014": ",",  # an em dash sets a clause apart
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u00b4", "'"),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad\t\r\v\f\0", " "),
        "\u00b3": "3",
        "\u2026": ".",
    }
)
_MARKDOWN = (
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"^[ ]*(?:```|~~~)[^\n]*$", re.MULTILINE),
    re.compile(r"^[ ]*(?:#{1,6}|>+|[-*+\u2022]|\d{1,2}[.)])(?=[ ]+\S)", re.MULTILINE),
    re.compile(r"^[ ]*(?:-{3,}|={3,}|\|?[ :|-]{3,})[ ]*$", re.MULTILINE),
    re.compile(r"\*+"),
    re.compile(r"(?<=\w)\]\(|(?<=[\w`])\](?=\()|!?\[(?=[^\]\n]*\]\()"),
)
_TABLE_EDGE = re.compile(r"(?m)^[ ]*\||\|[ ]*$")
_TABLE_CELL = re.compile(r"\|")
_ITALIC = re.compile(r"(?<!\S)_([^_\n]+)_(?!\w)")
_GROUPED = re.compile(r"(?<=\d)[\u00a0\u202f\u2009](?=\d{3}(?!\d))")
_BLOCK = re.compile(r"\n(?=[ ]*(?:\n|$|#{1,6} |>|[-*+\u2022] |\d{1,2}[.)] |```|~~~|\|))")
_AFTER_HEADING = re.compile(r"(?m)^[ ]*(?:#{1,6} |```|~~~|\|)[^\n]*(\n)")
_KEY_LINE = re.compile(r"(?m)\n(?=[ ]*[A-Za-z][\w -]{1,24}[:=][ ])")
_SENTENCE_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!approx)(?<!\bca)(?<!\bdr)[.!?]+(?=[\s\"')\]\0]|$)|;|\n", re.IGNORECASE
)
_CLAUSE_END = re.compile(r"[,()]|\b(?:and|but|while|then)\b", re.IGNORECASE)
_UNCLAIMED = re.compile(r"[^\0]+")
_BINDS = re.compile(
    r"\d|\b(?:us(?:e|ing)|try(?:ing)?|with|train(?:ing)?|search(?:ing)?)[ ]+(?:only|just)[ ]+\w|"
    r"\b(?:only|just)[ ]+(?:us(?:e|ing)|try(?:ing)?|with)[ ]+\w|"
    r"\b(?:without|except(?:[ ]+for)?|excluding|avoid(?:ing)?)[ ]+\w",
    re.IGNORECASE,
)
"""What a user would not want to see passed over: a number, or a restriction."""
_WORD = re.compile(r"[^\W_][\w'./-]*")


def like(source: str) -> re.Pattern[str]:
    """Compiles ``source`` without regard to case; a space outside brackets stands for any run of spaces."""
    pieces = re.findall(r"\\.|\[(?:\\.|[^\]\\])*\]|.", source, re.DOTALL)
    return re.compile("".join("[ ]+" if piece == " " else piece for piece in pieces), re.IGNORECASE)


def words(text: str) -> frozenset[str]:
    """The words of ``text`` as a set."""
    return frozenset(text.split())


_EMPTY_WORDS = words(
    "a all also an and are as at be been by can could do for from get give given go have here hello hi how i if in "
    "into is it its just kindly let let's like look make me my need needs now of off on one or our out please run "
    "so take tell thank thanks that the their them then there these they this those to too want we which will "
    "with would you your data file files task model budget metric goal brief tunewright"
)


class Text:
    """The user's words, read piece by piece.

    Attributes:
        raw: as the user wrote it.
        text: the same length, with typographic variants made plain and Markdown marks blanked. A newline is
            the end of a paragraph, heading or list item; soft line breaks are spaces.
        rest: ``text`` with what was understood so far replaced by ``CLAIMED``.
    """

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.text = self.rest = _plain(raw)

    def find(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches in what nobody has claimed. Claiming between two matches is allowed."""
        position = 0
        while match := pattern.search(self.rest, position):
            yield match
            position = max(match.end(), match.start() + 1)

    def claim(self, start: int, end: int) -> None:
        """Marks a stretch as understood."""
        self.rest = self.rest[:start] + CLAIMED * (end - start) + self.rest[end:]

    def says(self, start: int, end: int) -> str:
        """The user's own spelling of a stretch, on one line."""
        return " ".join(self.raw[start:end].split())

    def sentence(self, position: int) -> tuple[int, int]:
        """Start and end of the sentence around ``position``; understood stretches do not end one."""
        return self._around(position, 0)

    def clause(self, position: int) -> tuple[int, int]:
        """Start and end of the clause around ``position``."""
        return self._around(position, 1)

    def _around(self, position: int, level: int) -> tuple[int, int]:
        starts, ends = _borders(self.rest)[level]
        return starts[bisect_right(starts, position) - 1], ends[bisect_left(ends, position)]

    def unused(self) -> tuple[str, ...]:
        """What nothing was made of, as the user wrote it: whole clauses, and within others what holds a number
        or a restriction. Pleasantries and headings are left out."""
        found = []
        for start, end in zip(*_borders(self.rest)[1], strict=True):
            if self._heading(start):
                continue
            if self._means_something(start, end):
                found.append(self.says(start, end))
            elif CLAIMED in self.rest[start:end]:
                stretches = _UNCLAIMED.finditer(self.rest, start, end)
                found += [self.says(*match.span()) for match in stretches if _BINDS.search(match.group())]
        phrases = (phrase.strip(" ,:;-#*>|\"'`()[].") for phrase in found)
        return tuple(dict.fromkeys(phrase for phrase in phrases if phrase))

    def _means_something(self, start: int, end: int) -> bool:
        stretch = self.rest[start:end]
        words = [word.lower() for word in _WORD.findall(stretch)]
        return CLAIMED not in stretch and len(words) > 1 and any(word not in _EMPTY_WORDS for word in words)

    def _heading(self, position: int) -> bool:
        line = self.raw.rfind("\n", 0, position) + 1
        return self.raw[line:].lstrip(" ").startswith("#")


@lru_cache(maxsize=4)
def _borders(rest: str) -> tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]:
    """Where sentences and clauses start, ascending, and where they end."""
    sentences = [match.span() for match in _SENTENCE_END.finditer(rest)]
    clauses = sorted([*sentences, *(match.span() for match in _CLAUSE_END.finditer(rest))])
    both = [
        ([0, *(end for _, end in spans)], [*(start for start, _ in spans), len(rest)]) for spans in (sentences, clauses)
    ]
    return both[0], both[1]


def _plain(raw: str) -> str:
    """``raw`` in plain letters, each character standing where it stood."""
    text = _GROUPED.sub("'", raw)
    text = "".join(_one(character) for character in text.translate(_SAME))
    breaks = {match.start() for match in _BLOCK.finditer(text)}
    breaks |= {match.start() for match in _KEY_LINE.finditer(text)}
    breaks |= {match.start(1) for match in _AFTER_HEADING.finditer(text)}
    for pattern in _MARKDOWN:
        text = pattern.sub(lambda match: _blank(match.group()), text)
    text = _TABLE_CELL.sub(":", _TABLE_EDGE.sub(lambda match: _blank(match.group()), text))
    text = _ITALIC.sub(r" \1 ", text)
    return "".join(
        "\n" if at in breaks else " " if character == "\n" else character for at, character in enumerate(text)
    )


def _one(character: str) -> str:
    same = unicodedata.normalize("NFKC", character)
    return same if len(same) == 1 else character


def _blank(stretch: str) -> str:
    return "".join("\n" if character == "\n" else " " for character in stretch)
