"""What a planner advises while a study runs: ideas for the rounds to come, and which of them are of no use any more."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.domain.moment import Moment
from tunewright.domain.proposal import Idea


class Advised(Moment):
    """A planner was asked for ideas. They take the place of its earlier ones that still wait."""

    kind: Literal["advised"] = "advised"
    ideas: tuple[Idea, ...] = ()
    """The best first; none where none was of use."""
    dropped: tuple[str, ...] = ()
    """What was left out or repaired, and why, a line each."""
    asked_after: int = Field(ge=0)
    """Proposals that there were when it was asked: what it knew of."""
    ended: int = Field(0, ge=0)
    """Trials that had ended when it was asked."""
    by: str
    """A model's name."""
    why: str = ""
    """Why no answer came."""


class AdviceDropped(Moment):
    """An idea that waited is of no use any more."""

    kind: Literal["advice-dropped"] = "advice-dropped"
    recipe: str
    """The fingerprint of its recipe."""
    says: str
    """The idea, in its own words."""
    why: str = Field(min_length=1)
