"""Text that somebody else wrote, as one line that moves no cursor."""

from __future__ import annotations

import re
import unicodedata

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""What a terminal takes for a command of several characters (ECMA-48, CSI and OSC)."""
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_MOVES = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of Unicode that steer a terminal, turn the reading order round, or have no shape."""


def plain(text: str, most: int) -> str:
    """``text`` on one line without control and format characters, cut at ``most`` characters.

    Example:
        >>> plain("one\\x1b[2J\\n two", 40)
        'one two'
    """
    text = _SEQUENCE.sub(" ", text)
    kept = "".join(" " if unicodedata.category(character) in _MOVES else character for character in text)
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + _ELLIPSIS
