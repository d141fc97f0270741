"""CeRA: LoRA with a non-linearity in its middle; it cannot be merged. Chen, arXiv 2602.22911.

From the paper and its code: the equation (see ``tools/models/tuners/cera.py``), no scale, dropout in the latent
space, ranks of 64 to 512, learning rates of 1e-4 to 1e-3 on models of 1B to 8B. Ours: the lower ranks and the
wider range of rates, for smaller models and data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, lora_size, rank_choice


class CeraSettings(MethodConfig):
    """Settings of CeRA."""

    rank: int = Field(16, gt=0)
    """Width of the latent space."""
    activation: Literal["silu", "relu", "gelu", "identity"] = "silu"
    """The non-linearity; ``identity`` is the paper's ablation."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """In the latent space."""


class Cera(PeftMethod):
    """A non-linear low-rank update."""

    kind = "cera"
    names = ("CeRA", "NoRA")
    summary = "LoRA with a non-linearity in its middle; more from a low rank, never merged"
    paper = "arXiv 2602.22911"
    transfers = True
    Config: type[MethodConfig] = CeraSettings
    mergeable = False
    fits_conv1d = True
    lr = (1e-4, 4e-3, 8e-4)

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, activation and dropout."""
        return [
            rank_choice(stage, (8, 16, 32, 64), 16, max_rank),
            Choice(
                name="activation.cera",
                path=f"{stage}.adapter.activation",
                options=("silu", "relu", "gelu"),
                default="silu",
            ),
            Choice(name="dropout.cera", path=f"{stage}.adapter.dropout", options=(0.0, 0.05, 0.1, 0.3), default=0.1),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.cera import Config

        return Config(
            r=settings.rank,
            activation=settings.activation,
            dropout=settings.dropout,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r (inputs + outputs)`` a layer."""
        return lora_size(linears, settings.rank)


METHOD = Cera()
