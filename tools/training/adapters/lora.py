"""LoRA: a low-rank update beside each linear layer. Hu et al., arXiv 2106.09685.

``W + alpha / r * B A`` with ``A`` (r, inputs) random and ``B`` (outputs, r) zero; ``W`` is frozen. The ranges
follow "LoRA Without Regret" (Schulman, 2025): every linear layer, and a learning rate about ten times that of
full fine-tuning. Small models want the upper end. DoRA and rsLoRA share this file's machinery.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension, Float
from tunewright.tools.models import placement
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.training.method import MethodConfig

_RANKS = (4, 8, 16, 32, 64)
_SEARCHED_TO = 32


class LoraSettings(MethodConfig):
    """Settings of LoRA and its kin."""

    rank: int = Field(8, gt=0)
    """Rank r of the update."""
    alpha: float = Field(16, gt=0)
    """Numerator of the scale; the update is multiplied by ``alpha / r``."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Lora:
    """LoRA, and the base of its variants, which differ in two of PEFT's flags and their ranges."""

    kind = "lora"
    summary = "low-rank update of every linear layer; the sound default"
    paper = "arXiv 2106.09685"
    Config: type[MethodConfig] = LoraSettings
    placements: tuple[str, ...] = placement.PLACEMENTS
    mergeable = True
    exports_lora = True
    reads_weights = False
    step_cost = 2.5
    activation_cost = 1.5
    flags: dict[str, bool] = {}
    lr = (1e-4, 3e-3, 5e-4)
    """Lowest, highest and default learning rate."""

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """Rank and alpha, shared by LoRA and its kin; its own learning rate."""
        ranks = [rank for rank in _RANKS if rank <= min(max_rank or _SEARCHED_TO, _RANKS[-1])]
        ranks = ranks or [max_rank or _RANKS[0]]
        low, high, default = self.lr
        return [
            Choice(
                name="rank",
                path=f"{stage}.adapter.rank",
                options=tuple(ranks),
                default=8 if 8 in ranks else ranks[-1],
                why="small data sets rarely need more: LoRA Without Regret",
            ),
            Choice(name="alpha", path=f"{stage}.adapter.alpha", options=(8, 16, 32, 64), default=16),
            Float(
                name=f"lr.{self.kind}",
                path=f"{stage}.optimisation.lr",
                low=low,
                high=high,
                log=True,
                default=default,
                why="searched per adapter: each prefers another range (arXiv 2602.04998)",
            ),
        ]

    def build(self, model: Any, adapter: Adapter, seed: int) -> Any:
        """The model in PEFT's wrapper."""
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers.pytorch_utils import Conv1D

        chosen = LoraSettings.model_validate(adapter.settings)
        targets = placement.target_modules(model, adapter.placement)
        config = LoraConfig(
            r=chosen.rank,
            lora_alpha=chosen.alpha,
            lora_dropout=chosen.dropout,
            target_modules=targets,
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
            task_type="CAUSAL_LM",
            **self.flags,
        )
        torch.manual_seed(seed)
        return get_peft_model(model, config)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """``r (inputs + outputs)`` a layer, and what the variant adds."""
        rank = LoraSettings.model_validate(adapter.settings).rank
        return sum(rank * (linear.inputs + linear.outputs) + self.extra(linear) for linear in linears(facts, adapter))

    def extra(self, linear: Linear) -> int:
        """Parameters of the variant beyond LoRA's, for one layer."""
        return 0


def linears(facts: ModelFacts, adapter: Adapter) -> list[Linear]:
    """The linear layers that the adapter's placement means.

    Raises:
        UsageError: there are none in this model.
    """
    chosen = set(placement.select([linear.name for linear in facts.linears], adapter.placement))
    return [linear for linear in facts.linears if linear.name in chosen]


METHOD = Lora()
