"""Whether the words want all of a budget used: "exactly 20 trials", "use the whole budget"."""

from __future__ import annotations

from tunewright.agents.brief.number import NUMBER
from tunewright.agents.brief.text import Text, like

_TRIALS = r"(?:[a-z-]+ )?(?:trials?|runs?|experiments?|tries|attempts)\b"
_COUNT = rf"{NUMBER} {_TRIALS}(?! (?:at a time|at once|in parallel|side by side))"
_ALL = (
    like(rf"\b(?:exactly|precisely|at least|no (?:fewer|less) than|all(?: of)?(?: the)?) {_COUNT}"),
    like(rf"\b(?:run|do|make|perform|complete|carry out) (?:all )?(?:the )?{_COUNT}"),
    like(rf"\b{_COUNT},? (?:no (?:fewer|less)|exactly)\b"),
    like(r"\buse(?: up)? (?:all(?: of)?|the (?:whole|full|entire))(?: (?:the|my|your|its))? (?:budget|time|trials)\b"),
    like(r"\b(?:do(?:n't| not)|never) (?:stop|end) early\b"),
)


def read_every_trial(text: Text) -> bool:
    """Whether the search is to go on for as long as it can. Claims nothing: the numbers are the budget's."""
    return any(pattern.search(text.text) for pattern in _ALL)
