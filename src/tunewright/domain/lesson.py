"""What was learned: a claim that cites trials and numbers, which code has checked."""

from __future__ import annotations

from pydantic import Field

from tunewright.domain.frozen import Frozen


class Evidence(Frozen):
    """One fact of one trial: ``quantity`` is ``score``, ``status``, ``fault`` or a recipe path."""

    trial: str
    quantity: str
    value: float | str


class Lesson(Frozen):
    """A claim, the conditions it was seen under, and the trials for and against it."""

    claim: str = Field(min_length=1)
    conditions: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = Field(min_length=1)
    supporting: tuple[str, ...] = Field(min_length=1)
    contradicting: tuple[str, ...] = ()
    confidence: float = Field(ge=0, le=1)
    by: str = "rules"
