"""The answer in which a language model plans. Descriptions of fields are the instructions, as in ``agents.schemas``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Value = str | bool | int | float


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class ChangeAnswer(_Answer):
    """One change of what is searched."""

    action: Literal["narrow", "widen", "fix", "drop", "add"] = Field(
        description="narrow or widen: a range's ends, or the options that are left; fix: only the default is left; "
        "drop or add: options."
    )
    name: str = Field(max_length=120, description="A setting by its name in the list.")
    low: float | None = Field(None, description="The new lower end of a range.")
    high: float | None = Field(None, description="The new upper end of a range.")
    options: list[Value] = Field(
        [],
        max_length=8,
        description="The options that are dropped, added or left; for the setting 'adapter' kinds from the catalogue, "
        "for 'plan' objectives joined by ' > '.",
    )
    reason: str = Field(min_length=1, max_length=200, description="Why, in one sentence.")
    cites: list[str] = Field([], max_length=4, description="Ids of the lessons it follows, such as l-3fa9c1d2.")


class PriorAnswer(_Answer):
    """A best guess of one setting: the search looks near it first."""

    name: str = Field(max_length=120, description="A setting by its name in the list.")
    value: Value | list[float] = Field(
        description="The value that you expect to be best, inside its range; of a mix the weights."
    )
    confidence: float = Field(gt=0, le=1, description="How sure you are.")
    reason: str = Field("", max_length=200, description="Why, in one sentence.")


class FidelityAnswer(_Answer):
    """How long trials are and when they are first looked at."""

    length: float = Field(
        1.0, gt=0, le=1, description="Length of a trial as a share of the longest that the budget allows; 1 is usual."
    )
    first_look: float = Field(
        0.0, ge=0, lt=1, description="Share of a trial before which scores say nothing; 0 leaves it to the program."
    )


class ResultAnswer(_Answer):
    """The result that would refute a hypothesis, so that a program can tell."""

    quantity: Literal["gain", "score", "seconds", "adapter_bytes", "peak_memory_gib"] = Field(
        description="gain: how much better the trials are than the one named, in the metric's good direction."
    )
    relation: Literal["<", "<=", ">", ">="]
    value: float
    trial: Literal["base", "t0"] | None = Field(
        None, description="base: the untouched model; t0: every setting at its default. gain needs one."
    )


class SettingAnswer(_Answer):
    """A setting with a value."""

    name: str = Field(max_length=120, description="A setting by its name in the list.")
    value: Value


class HypothesisAnswer(_Answer):
    """What the study is to find out."""

    claim: str = Field(min_length=1, max_length=240, description="What you believe, in one sentence.")
    settings: list[SettingAnswer] = Field(
        [], max_length=3, description="Which trials put it to the test: those that have all of these."
    )
    refuted_if: str = Field("", max_length=200, description="The result that would refute it, with a number.")
    test: ResultAnswer | None = Field(None, description="The same for a program, where it can be said so.")


class CostAnswer(_Answer):
    """What you expect the study to spend; null where you cannot say."""

    wall_minutes: float | None = Field(None, ge=0)
    device_hours: float | None = Field(None, ge=0)
    usd: float | None = Field(None, ge=0)
    llm_tokens: int | None = Field(None, ge=0)


class PlanAnswer(_Answer):
    """How the study should search. Budget, task, metric, test rows and seeds are not yours to change."""

    summary: str = Field(min_length=1, max_length=400, description="The plan and its main reason, in two sentences.")
    changes: list[ChangeAnswer] = Field(
        [],
        max_length=12,
        description="Changes of what is searched, the weightiest first; none if it is right as it is.",
    )
    priors: list[PriorAnswer] = Field([], max_length=12, description="Best guesses, at most one a setting.")
    fidelity: FidelityAnswer = FidelityAnswer()
    hypotheses: list[HypothesisAnswer] = Field([], max_length=4, description="What the study is to find out.")
    expected_gain: float | None = Field(
        None, description="What the winner gains over the untouched model, in the metric's good direction."
    )
    expected_cost: CostAnswer = CostAnswer()
    assumptions: list[str] = Field([], max_length=6, description="What you assumed, one short sentence each.")
