"""Supervised fine-tuning: the mean negative log-likelihood of the completion's tokens, prompts without loss."""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Dimension
from tunewright.tools.training.method import MethodConfig


class SftConfig(MethodConfig):
    """It has no settings."""


class Sft:
    """Learns from given answers. The objective to start with."""

    kind = "sft"
    summary = "learn from given answers: likelihood of the completion, prompts without loss"
    paper = "arXiv 2203.02155"
    Config: type[MethodConfig] = SftConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Nothing of its own."""
        return []

    def arguments(self, objective: Objective) -> dict[str, Any]:
        """TRL's own likelihood."""
        return {"loss_type": "nll"}


METHOD = Sft()
