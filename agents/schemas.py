"""The answers that language models give. The fields' descriptions are the instructions: they reach the model inside
the schema, so the prompts carry context only.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tunewright.domain.frozen import Json
from tunewright.domain.task import RowFormat
from tunewright.domain.understanding import MOST_OPTIONS, MOST_QUESTIONS, Topic


class _Answer(BaseModel):
    # A field that nobody asked for is no reason to ask again.
    model_config = ConfigDict(extra="ignore", frozen=True)


class BudgetAnswer(_Answer):
    """Limits that the brief names; null where it names none."""

    wall_minutes: float | None = Field(None, gt=0, description="Minutes on the clock for the whole study.")
    device_hours: float | None = Field(None, gt=0, description="GPU hours or device hours.")
    usd: float | None = Field(None, gt=0, description="US dollars.")
    llm_tokens: int | None = Field(None, gt=0, description="Language-model tokens.")
    trials: int | None = Field(None, gt=0, description="Trials, also called runs or experiments.")


class QuestionAnswer(_Answer):
    """Something that the brief leaves open and that only the user can tell."""

    text: str = Field("", description="The question, one plain sentence.")
    about: str = Field(
        "",
        json_schema_extra={"enum": list(get_args(Topic))},
        description="What an answer could change: the metric; the target or input column; what is searched (adapters, "
        "ranks, methods); the adapter's size; the memory; the budget; which data is used.",
    )
    why: str = Field("", description="What the answer changes, one short sentence.")
    assumption: str = Field("", description="What the rest of your answer assumes: it holds if nobody is there to ask.")
    options: list[str] = Field(
        [],
        json_schema_extra={"maxItems": MOST_OPTIONS},
        description="Short answers to choose from, if there are few; each has to say all by itself, such as: no dora.",
    )

    @field_validator("text", "about", "why", "assumption", mode="before")
    @classmethod
    def _as_text(cls, value: Json) -> str:
        """A question is worth no second try: what cannot be read becomes nothing, and code drops what is not whole."""
        return value if isinstance(value, str) else ""

    @field_validator("options", mode="before")
    @classmethod
    def _as_texts(cls, value: Json) -> list[str]:
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


class BriefAnswer(_Answer):
    """What a brief asks for."""

    model: str | None = Field(
        None, description="The model to fine-tune, spelled as in the brief, or a short name; null if none is named."
    )
    files: list[str] = Field(
        min_length=1, description="Paths of the data to train on, copied from the list of data files."
    )
    format: RowFormat = Field(
        description="label: a closed set of labels; completion: free text; chat: a list of messages; preference: a "
        "better and a worse answer; judged: an answer that is good or bad; text: raw text. As in the likely layout."
    )
    input_field: str = Field(description="Column that the model reads.")
    target_field: str = Field(description="Column that it has to give; for chat and text the same as input_field.")
    metric: str | None = Field(None, description="One of the listed metrics if the brief asks for it, else null.")
    prompt: str | None = Field(
        None,
        max_length=600,
        description="How a row is put to the model: short plain text that contains {input} once and, for labels, ends "
        "where the label goes. Null for the usual one.",
    )
    budget: BudgetAnswer = BudgetAnswer()
    only_adapters: list[str] = Field([], description="Adapters, if the brief wants these alone.")
    without_adapters: list[str] = Field([], description="Adapters that the brief rules out.")
    max_rank: int | None = Field(None, gt=0, description="Largest adapter rank, if the brief limits it.")
    compress: bool = Field(
        False, description="Whether the brief asks to compress the adapter or to keep it as small as possible."
    )
    max_adapter_mb: float | None = Field(
        None, gt=0, description="Largest adapter file in megabytes, if the brief limits it."
    )
    assumptions: list[str] = Field([], max_length=8, description="What you assumed, one short sentence each.")
    unused: list[str] = Field([], max_length=8, description="Phrases of the brief that nothing was made of.")
    questions: list[QuestionAnswer] = Field(
        [],
        json_schema_extra={"maxItems": MOST_QUESTIONS},
        description="What the brief leaves open, where another answer would change yours; usually none.",
    )

    @field_validator("questions", mode="before")
    @classmethod
    def _objects(cls, value: Json) -> list[Json]:
        """Odd questions do not spoil the reading."""
        return [one for one in value if isinstance(one, dict | QuestionAnswer)] if isinstance(value, list) else []


class Edit(_Answer):
    """One change of a recipe."""

    path: str = Field(description="A path from the list, such as stages.0.optimisation.lr.")
    value: str | float | int | list[float] = Field(description="The new value, inside the path's range.")


class RefutationAnswer(_Answer):
    """The result that would refute a hypothesis, so that a program can tell."""

    quantity: Literal["gain", "score", "seconds", "adapter_bytes", "peak_memory_gib"] = Field(
        description="gain: how much better it is than TRIAL, in the metric's good direction."
    )
    relation: Literal["<", "<=", ">", ">="]
    value: float
    trial: str | None = Field(None, description="The trial to compare with; gain needs it.")


class IdeaAnswer(_Answer):
    """One run worth trying."""

    hypothesis: str = Field(
        min_length=1, max_length=300, description="What you believe about this task, in one sentence."
    )
    edits: list[Edit] = Field(min_length=1, max_length=3, description="Changes to the incumbent's recipe.")
    refuted_if: str = Field(
        min_length=1, max_length=200, description="The result that would refute it, with a number and a trial."
    )
    test: RefutationAnswer | None = Field(None, description="The same for a program, where it can be said so.")
    cites: list[str] = Field([], max_length=4, description="Ids of the lessons it follows, such as l-3fa9c1d2.")


class EvidenceAnswer(_Answer):
    """One fact of one trial, copied from the list."""

    trial: str = Field(description="The trial's id, such as t3.")
    quantity: str = Field(description="score, status, fault, or a recipe path from the list.")
    value: float | str = Field(description="Its value as listed.")


class LessonAnswer(_Answer):
    """A claim that the numbers bear out."""

    claim: str = Field(min_length=1, max_length=240, description="One sentence with its numbers and trial ids.")
    conditions: list[str] = Field([], max_length=4, description="What it was seen under.")
    evidence: list[EvidenceAnswer] = Field(min_length=1, max_length=12, description="Every fact the claim rests on.")
    supporting: list[str] = Field(min_length=1, max_length=12, description="Ids of the trials that speak for it.")
    contradicting: list[str] = Field([], max_length=12, description="Ids of the trials that speak against it.")
    confidence: float = Field(ge=0, le=1, description="How sure you are that another run would agree.")


class ComparisonAnswer(_Answer):
    """Which of two answers is better."""

    reason: str = Field("", max_length=400, description="What decides between them, in one sentence.")
    better: Literal["1", "2", "tie"] = Field(description="The number of the better answer; tie if neither is.")

    @field_validator("better", mode="before")
    @classmethod
    def _number_or_word(cls, value: object) -> object:
        """The number 1 is as clear as the text "1"."""
        return str(value).strip().lower() if isinstance(value, int | str) else value
