"""LoRA: a low-rank update beside each linear layer. Hu et al., arXiv 2106.09685.

``W + alpha / r * B A`` with ``A`` (r, inputs) random and ``B`` (outputs, r) zero; ``W`` is frozen. The ranges
follow "LoRA Without Regret" (Schulman, 2025): every linear layer, and a learning rate about ten times that of
full fine-tuning. Small models want the upper end. Its variants and initialisations share this file's machinery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, lora_size, rank_choice, transposed

RANKS = (4, 8, 16, 32)


class LoraSettings(MethodConfig):
    """Settings of LoRA and its kin."""

    rank: int = Field(8, gt=0)
    """Rank r of the update."""
    alpha: float = Field(16, gt=0)
    """Numerator of the scale; the update is multiplied by ``alpha / r``."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Lora(PeftMethod):
    """LoRA, and the base of its variants, which differ in PEFT's flags and their ranges."""

    kind = "lora"
    summary = "low-rank update of every linear layer; the sound default"
    paper = "arXiv 2106.09685"
    transfers = True
    Config: type[MethodConfig] = LoraSettings
    exports_lora = True
    everyday = True
    fits_conv1d = True
    flags: dict[str, Any] = {}
    """What the variant sets of PEFT's ``LoraConfig``."""

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and alpha, shared by LoRA and its kin."""
        return rank_and_alpha(stage, max_rank)

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``LoraConfig``."""
        from peft import LoraConfig

        return LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
            **self.flags,
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r (inputs + outputs)`` a layer, and what the variant adds."""
        return lora_size(linears, settings.rank) + sum(self.extra(linear) for linear in linears)

    def extra(self, linear: Linear) -> int:
        """Parameters of the variant beyond LoRA's, for one layer."""
        return 0


def rank_and_alpha(stage: str, max_rank: int | None) -> list[Dimension]:
    """The search over both, the same for all that mean LoRA's matrices by them."""
    return [
        rank_choice(stage, RANKS, 8, max_rank, why="small data sets rarely need more: LoRA Without Regret"),
        Choice(name="alpha", path=f"{stage}.adapter.alpha", options=(8, 16, 32, 64), default=16),
    ]


METHOD = Lora()
