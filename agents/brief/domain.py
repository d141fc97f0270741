"""Several domains: "gain across all domains, the worst counts twice"."""

from __future__ import annotations

from tunewright.agents.brief.number import NUMBER, parse
from tunewright.agents.brief.text import Text, like

_DOMAINS = r"(?:domains|sources|datasets|topics|labels|classes|categories)"
_EVERY = r"(?:all |every |each |the |its |their |our )*"
_WORST = r"(?:the )?(?:worst|weakest) (?:domain|source|dataset|topic|label|class|category|one)"
_ACROSS = like(
    rf"\b(?:(?:mean |average |averaged? )(?:gain |accuracy |score )?(?:over|across|of) {_EVERY}{_DOMAINS}|"
    rf"(?:gains? |improves? |better )?across {_EVERY}{_DOMAINS}|"
    rf"(?:all|every|each) (?:domains?|sources?|datasets?) counts? (?:the same|equally|alike))\b"
)
_COUNTS = like(
    rf"\b{_WORST} (?:counts|weighs)[ ]*(?P<word>once|twice|half|double|thrice|as much)?"
    rf"(?:(?P<n>{NUMBER})[ ]*(?:times|x))?\b(?: as much)?|\bweigh(?:s|ing)? {_WORST} (?:by|with)[ ]*(?P<m>{NUMBER})"
)
_WORDS = {"half": 0.5, "once": 1.0, "as much": 1.0, "twice": 2.0, "double": 2.0, "thrice": 3.0}
USUAL = 1.0
"""A point that the worst domain loses counts as much as a point of mean gain, where the brief gives no weight."""


def read_worst_weight(text: Text) -> float | None:
    """How much the worst domain counts besides the mean over domains; None if the brief does not ask for domains."""
    weight = None
    for match in text.find(_ACROSS):
        weight = USUAL
        text.claim(*match.span())
    for match in text.find(_COUNTS):
        number = match["n"] or match["m"]
        weight = parse(number) if number else _WORDS.get((match["word"] or "").lower(), USUAL)
        text.claim(*match.span())
    return weight
