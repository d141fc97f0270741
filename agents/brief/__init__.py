"""From the user's words to a task, a budget and wishes for the search."""

from tunewright.agents.brief.reading import Line, Parts, Reading, assemble
from tunewright.agents.brief.rules import (
    Look,
    read_brief,
    spoken_aim,
    spoken_budget,
    spoken_goals,
    spoken_sources,
    spoken_width,
    spoken_wishes,
)

__all__ = [
    "Line",
    "Look",
    "Parts",
    "Reading",
    "assemble",
    "read_brief",
    "spoken_budget",
    "spoken_aim",
    "spoken_goals",
    "spoken_sources",
    "spoken_width",
    "spoken_wishes",
]
