"""How much a longer bill has to earn: "only if it gains 2 points per hour"."""

from __future__ import annotations

from tunewright.agents.brief.number import NUMBER, parse
from tunewright.agents.brief.text import Text, like

_RATE = like(
    rf"(?:\b(?:only |at least |if|it|gains?|earns?|worth|wins?|brings?|of)[ ]*)*(?P<n>{NUMBER})[ ]*"
    r"(?:(?P<points>percentage points?|points?|pp|%|per ?cent) )?(?:of (?:gain|accuracy|score) )?"
    r"(?:per|an|for each|for every|each|every)[ ]?(?:extra |additional |further )?hour\b(?: more)?"
)


def read_rate(text: Text) -> float:
    """The least gain in the metric for each hour that a trial takes longer; 0 if the brief does not say.

    Points and per cent are hundredths.
    """
    for match in text.find(_RATE):
        if match["points"] is None and "gain" not in text.says(*match.span()).lower():
            continue
        text.claim(*match.span())
        return parse(match["n"]) / (100 if match["points"] else 1)
    return 0.0
