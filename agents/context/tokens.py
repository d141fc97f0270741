"""How many tokens a text is at most: a count without a tokenizer, so that a budget holds for any model."""

from __future__ import annotations

import re

_CHARACTERS_A_TOKEN = 3
"""As the brains count before a call: texts have four and more."""
_PIECES = re.compile(r"[A-Za-z]{1,4}|\d|\n|[^\sA-Za-z\d]")


def tokens(text: str) -> int:
    """A bound for usual tokenizers: the larger of two counts.

    One is a token for three bytes of UTF-8. The other is a token for each digit, sign and line, for each four letters
    of a word, and for each byte but one of a character beyond ASCII: paths of settings and numbers, which a study's
    history is made of, take many more tokens than prose of that length. On facts of trials, Markdown, Python, JSON,
    Chinese and Russian it was at most 1.5 times SmolLM2's own count, and below it by two tokens at most.
    """
    pieces, length = len(_PIECES.findall(text)), len(text.encode())
    if not text.isascii():
        beyond = sum(not character.isascii() for character in text)
        pieces += length - (len(text) - beyond) - 2 * beyond
    return max(pieces, -(-length // _CHARACTERS_A_TOKEN))


def line_tokens(text: str) -> int:
    """Of a line in a list of a prompt: with its dash and its end."""
    return tokens(text) + 2
