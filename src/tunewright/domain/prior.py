"""What a planner believes of a setting before anything was measured."""

from __future__ import annotations

from pydantic import Field

from tunewright.domain.frozen import Frozen, Json


class Prior(Frozen):
    """A best guess of one dimension of a space. It is a hint to a sampler and limits nothing."""

    name: str = Field(min_length=1)
    """The dimension's name."""
    value: Json
    """The best guess: a value that the dimension holds."""
    weight: float = Field(gt=0, le=1)
    """How sure the planner is of it."""
    reason: str = ""
