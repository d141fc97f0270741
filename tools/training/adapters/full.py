"""Full fine-tuning: every parameter is trained. The yardstick for adapters, and the most expensive in memory.

Adam keeps two numbers for each parameter beside its gradient: four times the weights in all.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Dimension, Float
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.method import MethodConfig


class FullSettings(MethodConfig):
    """It has no settings."""


class Full:
    """Trains the whole model."""

    kind = "full"
    summary = "trains every parameter; four times the weights in memory, the whole model as its result"
    paper = ""
    Config: type[MethodConfig] = FullSettings
    placements: tuple[str, ...] = ("all-linear",)
    mergeable = True
    exports_lora = False
    reads_weights = False
    step_cost = 3.5
    activation_cost = 1.05

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """Its learning rate."""
        return [
            Float(
                name="lr.full",
                path=f"{stage}.optimisation.lr",
                low=5e-6,
                high=3e-4,
                log=True,
                default=5e-5,
                why="about a tenth of LoRA's: LoRA Without Regret",
            )
        ]

    def build(self, model: Any, adapter: Adapter, seed: int) -> Any:
        """The model itself, all of it trainable."""
        return model.requires_grad_(True)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """All."""
        return facts.parameters


METHOD = Full()
