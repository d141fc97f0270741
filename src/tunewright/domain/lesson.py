"""What was learned: a claim that cites trials and numbers, which code has checked, and how it has fared since."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright.domain.frozen import Frozen, Json, content_hash

Tag = Literal["helpful", "harmful", "neutral"]
HELPFUL_AT_FIRST = 2
"""What a new lesson is credited with. Counters and the rule that drops are ExpeL's (arXiv 2308.10144)."""
_DOUBT = 0.5
"""What is left of a lesson's confidence when a later trial contradicts it. Ours."""


class Evidence(Frozen):
    """One fact of one trial: ``quantity`` is ``score``, ``status``, ``fault``, ``seconds``, ``rung.STEP`` or a recipe
    path."""

    trial: str
    quantity: str
    value: float | str


class Check(Frozen):
    """What a claim says in a form that code can hold later trials against."""

    rule: str
    """The kind of claim; see ``agents.reflection.holding``."""
    about: dict[str, Json] = {}
    """What it is about, such as ``{"adapter": "dora", "lr": 0.002}``."""


class Lesson(Frozen):
    """A claim, the conditions it was seen under, and the trials for and against it. Never rewritten."""

    claim: str = Field(min_length=1)
    conditions: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = Field(min_length=1)
    supporting: tuple[str, ...] = Field(min_length=1)
    contradicting: tuple[str, ...] = ()
    confidence: float = Field(ge=0, le=1)
    """When it was learned."""
    by: str = "rules"
    study: str = ""
    """Where it was learned; its trials are that study's."""
    tags: tuple[str, ...] = ()
    """What it is of use for, such as ``format:label``, ``metric:accuracy``, ``adapter:dora``."""
    check: Check | None = None
    """None: a claim that only counters can speak for or against."""
    advice: dict[str, Json] = {}
    """Recipe path -> the value that it speaks for, where there is one."""

    @property
    def id(self) -> str:
        """Such as ``l-3fa9c1d2``: the hash of study, claim and evidence."""
        cited = [one.model_dump(mode="json") for one in self.evidence]
        return f"l-{content_hash([self.study, self.claim, list(self.conditions), cited])[:8]}"


class Remembered(Frozen):
    """A lesson with how it has fared since it was learned, in its own study and in later ones."""

    lesson: Lesson
    helpful: int = HELPFUL_AT_FIRST
    """Trials that followed it and gained, and what it began with."""
    harmful: int = 0
    """Trials that followed it and lost."""
    contradicted: int = 0
    """Later trials that speak against its claim."""
    likeness: float | None = None
    """Of its study to the one that recalls it; None in its own."""

    @property
    def id(self) -> str:
        return self.lesson.id

    @property
    def confidence(self) -> float:
        """Half as much with every trial that contradicts it."""
        return float(self.lesson.confidence * _DOUBT**self.contradicted)

    @property
    def dropped(self) -> bool:
        """Whether it has done as much harm as good. It is kept, and no longer followed."""
        return self.harmful >= self.helpful

    def weighed(self, tag: Tag | Literal["contradicted"]) -> Remembered:
        """As it stands after one more trial."""
        name = tag if tag != "neutral" else None
        return self if name is None else self.model_copy(update={name: getattr(self, name) + 1})

    def counters(self) -> str:
        """Such as ``3:1, confidence 0.35``."""
        return f"{self.helpful}:{self.harmful}, confidence {self.confidence:.2g}"
