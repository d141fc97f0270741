"""How many trials the user wants to run side by side: "two trials at a time"."""

from __future__ import annotations

from tunewright.agents.brief.number import NUMBER, parse
from tunewright.agents.brief.text import Text, like

_TOGETHER = r"(?:at a time|at once|at the same time|in parallel|side by side|concurrently|simultaneously)"
_TRIALS = r"(?:trials?|runs?|experiments?|trainings?|jobs?)"
_WIDTHS = (
    like(rf"(?:\b(?:run|train|try|start)[ ]+)?(?:\b(?:up to|at most)[ ]+)?(?P<n>{NUMBER}) {_TRIALS} {_TOGETHER}\b"),
    like(rf"\b{_TRIALS} (?P<n>{NUMBER}) {_TOGETHER}\b"),
    like(rf"(?P<n>{NUMBER}) {_TOGETHER}\b"),
    like(rf"\b(?P<n>{NUMBER}) (?:parallel|concurrent|simultaneous) {_TRIALS}\b"),
)
_MOST = 256


def read_width(text: Text) -> int | None:
    """Trials at a time; None if the brief does not say."""
    for pattern in _WIDTHS:
        for match in text.find(pattern):
            count = parse(match["n"])
            if count == int(count) and 1 <= count <= _MOST:
                text.claim(*match.span())
                return int(count)
    return None
