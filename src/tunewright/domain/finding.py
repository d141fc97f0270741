"""What members of the team found: the reflection panel of an outcome, the evaluator of a gain."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tunewright.domain.frozen import Frozen, Json
from tunewright.domain.lesson import Evidence, Lesson, Tag


class Finding(Frozen):
    """What one member of the reflection panel says of some trials."""

    by: str
    """Its role, such as ``reflector`` or ``critic.overfitting``."""
    model: str = "rules"
    """The language model that said it, or ``rules``."""
    trials: tuple[str, ...] = Field(min_length=1)
    says: str = Field(min_length=1)
    cause: str = ""
    """In a few words, such as ``learning rate too high``: findings with the same cause agree."""
    evidence: tuple[Evidence, ...] = ()
    weight: float = Field(0.5, ge=0, le=1)
    """How much it explains, by its own account; code has checked the facts and not this."""
    edits: dict[str, Json] = {}
    """Recipe path -> value: what it would change next."""
    parent: str | None = None
    """The trial whose recipe that is; None: the incumbent."""
    tags: dict[str, Tag] = {}
    """Lesson that a trial followed -> whether it was of use."""
    lesson: Lesson | None = None
    """What it would have remembered."""
    round: int = Field(1, gt=0)


def standing(findings: Iterable[Finding]) -> list[Finding]:
    """Of each member and language model what it found last: who is asked a second time has heard the others by then."""
    last = {(one.by, one.model): one for one in findings}
    return list(last.values())


class Fact(Frozen):
    """One thing that code has found out about a gain."""

    id: str
    """``f1`` and on."""
    topic: str
    """``gain``, ``slice``, ``forgetting``, ``overfitting``, ``length`` or ``form``."""
    says: str = Field(min_length=1)


class Sentence(Frozen):
    """Part of an explanation: every number in it is one of the facts that it cites."""

    says: str = Field(min_length=1)
    cites: tuple[str, ...] = Field(min_length=1)
