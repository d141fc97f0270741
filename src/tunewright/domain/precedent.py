"""What an earlier study found, as far as a later one can learn from it."""

from __future__ import annotations

import math

from pydantic import Field

from tunewright.domain.frozen import Frozen
from tunewright.domain.recipe import Recipe


class TaskFeatures(Frozen):
    """What makes two studies alike: the task, its data and the model."""

    format: str
    metric: str
    labels: int = Field(0, ge=0)
    rows: int = Field(gt=0)
    """For training."""
    tokens: float | None = Field(None, gt=0)
    """Of a row on average, where it is known."""
    model: str
    """Digest of its weights."""
    parameters: int = Field(gt=0)
    base: float | None = None
    """Score of the untouched model."""


def likeness(one: TaskFeatures, other: TaskFeatures) -> float:
    """How much one study has to say to the other: 1 for the same task, sizes and model, 0 for another kind of task.

    Learning rates and lengths carry over between data of one kind and models of about one size; ten times the rows,
    labels or parameters leave about a third.
    """
    if (one.format, one.metric) != (other.format, other.metric):
        return 0.0
    apart = abs(math.log10(one.rows / other.rows)) + abs(math.log10((one.labels + 1) / (other.labels + 1)))
    if one.model != other.model:
        apart += 0.2 + abs(math.log10(one.parameters / other.parameters))
    if one.base is not None and other.base is not None:
        apart += abs(one.base - other.base) / max(abs(one.base), abs(other.base), 1.0)
    return math.exp(-apart)


class FoundRecipe(Frozen):
    """A trial of the earlier study."""

    recipe: Recipe
    gain: float
    """Over that study's default recipe, in the metric's good direction."""


class Precedent(Frozen):
    """An earlier study: what it was about and what its trials gained."""

    study: str
    run: str = ""
    """Its MLflow run."""
    features: TaskFeatures
    found: tuple[FoundRecipe, ...]


class Kin(Frozen):
    """A precedent with how alike it is."""

    precedent: Precedent
    likeness: float = Field(ge=0, le=1)
    """From 0, nothing in common, to 1, the same task, data size and model."""
