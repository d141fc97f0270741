"""The answers that language models give on the panel. The fields' descriptions are the instructions."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tunewright.agents.schemas import Edit, EvidenceAnswer, LessonAnswer, RefutationAnswer
from tunewright.domain.lesson import Tag


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TagAnswer(_Answer):
    """Whether a lesson that a trial followed was of use."""

    lesson: str = Field(description="Its id, such as l-3fa9c1d2; one that the trial cites.")
    tag: Tag


class ReflectionAnswer(_Answer):
    """What the outcomes say, and why."""

    reasoning: str = Field("", max_length=1200, description="How you come to it.")
    outcome: Literal["gain", "loss", "no difference"] = Field(
        description="What the newest trial under discussion came to, by the numbers."
    )
    went_wrong: str = Field("", max_length=300, description="What went wrong, in one sentence; empty if nothing did.")
    root_cause: str = Field("", max_length=120, description="Why, in a few words, such as: learning rate too high.")
    key_insight: str = Field(
        min_length=1, max_length=300, description="What to keep in mind, in one sentence with its numbers and trials."
    )
    evidence: list[EvidenceAnswer] = Field(max_length=12, description="Every fact that the above rests on.")
    tags: list[TagAnswer] = Field([], max_length=8, description="One for each lesson that a trial followed.")
    lesson: LessonAnswer | None = Field(None, description="At most one lesson; null if nothing new was learned.")


class FindingAnswer(_Answer):
    """What one critic finds."""

    found: bool = Field(description="Whether your side explains anything here.")
    says: str = Field("", max_length=300, description="What, in one sentence with its numbers and trials.")
    cause: str = Field("", max_length=120, description="The cause in a few words.")
    weight: float = Field(0.5, ge=0, le=1, description="How much of the trouble it explains.")
    evidence: list[EvidenceAnswer] = Field([], max_length=12, description="Every fact that it rests on.")
    edits: list[Edit] = Field([], max_length=3, description="What you would change next; may be empty.")


class ExperimentAnswer(_Answer):
    """One run that decides something."""

    hypothesis: str = Field(min_length=1, max_length=300, description="What it is to show, in one sentence.")
    parent: str | None = Field(None, description="The trial whose recipe is changed; null for the incumbent.")
    edits: list[Edit] = Field(min_length=1, max_length=3, description="Changes to that recipe, inside the ranges.")
    refuted_if: RefutationAnswer


class JudgeAnswer(_Answer):
    """What the panel agrees on."""

    reasoning: str = Field("", max_length=1200, description="Which findings hold, and which do not.")
    lesson: LessonAnswer | None = Field(None, description="At most one lesson; null if none is borne out.")
    experiment: ExperimentAnswer | None = Field(None, description="The next experiment; null if none is worth a run.")
