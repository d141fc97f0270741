"""What an earlier study found, as far as a later one can learn from it."""

from __future__ import annotations

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
