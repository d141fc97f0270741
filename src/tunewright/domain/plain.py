"""Text that somebody else wrote, so that it can move no cursor and turn no reading order round: shown, or taken out."""

from __future__ import annotations

import re
import unicodedata

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""What a terminal takes for a command of several characters (ECMA-48, CSI and OSC)."""
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_STEERS = ("Cc", "Cf", "Cs")
"""Categories of Unicode that steer a terminal or turn the reading order round."""
_MOVES = (*_STEERS, "Co", "Cn", "Zl", "Zp")
"""Those, and what ends a line or has no shape."""
_KEPT = "\n\t\u200c\u200d"
"""Lines and tabs, and the joiners of scripts and emoji, which move nothing."""


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


def still(text: str) -> str:
    """``text`` with its lines and tabs, and with a space for each thing that steers a terminal.

    Example:
        >>> still("one\\x1b[2J\\n two")
        'one \\n two'
    """
    return text if text.isprintable() else _SEQUENCE.sub(" ", text).translate(_STILL)


def visible(text: str) -> str:
    """``text`` with its lines, and what steers a terminal written out as JSON does: for data, of which nothing may be
    hidden.

    Example:
        >>> print(visible("one\\x1b[2J"))
        one\\u001b[2J
    """
    return text if text.isprintable() else text.replace("\r\n", "\n").expandtabs(4).translate(_VISIBLE)


class _Table(dict[int, str]):
    """For ``str.translate``: what steers is replaced, and every character is looked at once."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = character in _KEPT or unicodedata.category(character) not in _STEERS
        return self.setdefault(code, character if kept else self.instead(code))

    def instead(self, code: int) -> str:
        return " "


class _Written(_Table):
    def instead(self, code: int) -> str:
        units = chr(code).encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


_STILL, _VISIBLE = _Table(), _Written()
