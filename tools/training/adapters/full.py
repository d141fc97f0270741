"""Full fine-tuning: every parameter is trained. The yardstick for adapters, and the most expensive in memory.

Adam keeps two numbers for each parameter beside its gradient: four times the weights in all.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Dimension
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.method import AdapterMethod, Start


class Full(AdapterMethod):
    """Trains the whole model."""

    kind = "full"
    summary = "trains every parameter; four times the weights in memory, the whole model as its result"
    names = (
        "full fine-tuning",
        "full fine-tune",
        "full-parameter fine-tuning",
        "full-weight fine-tuning",
        "full-model fine-tuning",
        "full tuning",
        "full training",
    )
    plain_word = True
    paper = "transformers: PreTrainedModel"
    placements = ("all-linear",)
    everyday = True
    trains_adapter = False
    step_cost = 3.5
    scoring_cost = 1.0
    activation_cost = 1.05
    kept_share = 0.85
    lr = (5e-6, 3e-4, 5e-5)
    lr_source = "about a tenth of LoRA's: LoRA Without Regret"

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """Its learning rate."""
        return [self.learning_rate(stage)]

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model itself, all of it trainable."""
        return model.requires_grad_(True)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """All."""
        return facts.parameters


METHOD = Full()
