"""What the terminal says of ideas that a language model had for the rounds to come."""

from __future__ import annotations

from tunewright.cli import words
from tunewright.cli.line import Line
from tunewright.domain import event as ev

_LONGEST = 200
"""Characters of an idea that is dropped."""


def advice_lines(one: ev.Advised | ev.AdviceDropped) -> list[Line]:
    """Each idea on a line, with what would refute it; what was left out on one. That no answer came is warned of."""
    match one:
        case ev.AdviceDropped():
            return [Line(words.labelled(f"dropped: {_cut(one.says)}; {one.why}"), "ideas", tone="faint")]
        case ev.Advised():
            lines = [Line(words.labelled(idea.reason), "" if at else "ideas") for at, idea in enumerate(one.ideas)]
            if one.dropped:
                more = f" and {len(one.dropped) - 1} more" if len(one.dropped) > 1 else ""
                said = f"left out or mended: {_cut(one.dropped[0])}{more} (all in the report)"
                lines.append(Line(said, "" if lines else "ideas", tone="faint"))
            return lines


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3].rstrip() + "..."
