"""Whether the brief asks for a small adapter, without a number: then compression after training is searched too."""

from __future__ import annotations

from tunewright.agents.brief.text import Text, like

_OBJECT = (
    r"(?:all|each|every|the|its|their|your|our|any|that)?[ ]*(?:(?:trained|final|finished|winning|resulting) )?"
    r"(?:adapters?|updates?|results?|winners?|weights|it|them)\b"
)
_COMPRESS = like(
    rf"\bcompress(?:ed|es|ing)? {_OBJECT}|\badapter compression\b|\bcompression of (?:the |its |all )?adapters?\b|"
    r"\b(?:with|use|using|try|trying|search|including|include|add|allow|apply)(?: the| some| post-training)? "
    r"compression\b|\badapters?(?: \w+){0,3} compressed\b"
)
_SMALL = like(
    r"\bas small as (?:possible|you can|it gets|can be)\b|\bas small an adapter as (?:possible|you can)\b|"
    r"\b(?:the )?smallest (?:possible )?adapters?\b|"
    r"\badapters?(?: (?:must|should|has to|have to|needs to|is to|to) be)? (?:as |very |really |quite )?"
    r"(?:small|tiny|compact)\b(?! as)"
)
_NEGATED = like(r"(?:\b(?:no|not|never|without|nor|avoid|skip|rather than|instead of)\b|n't\b)[^.;,\n]*$")
_OTHER = like(r"\b(?:loss|error|perplexity|cost|budget|time|memory|rank|steps?|learning rate|batch)\b")
"""What can be as small as possible beside an adapter."""


def read_compression(text: Text) -> bool:
    """Whether a small adapter is wanted; the words that say so, or say the contrary, are claimed."""
    wanted = False
    for match in text.find(_COMPRESS):
        wanted = not _refused(text, match.start()) or wanted
        text.claim(*match.span())
    for match in text.find(_SMALL):
        first, last = text.clause(match.start())
        if _OTHER.search(text.rest[first:last]):
            continue
        wanted = not _refused(text, match.start()) or wanted
        text.claim(*match.span())
    return wanted


def _refused(text: Text, position: int) -> bool:
    return _NEGATED.search(text.rest[text.sentence(position)[0] : position]) is not None
