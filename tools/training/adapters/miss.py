"""MiSS: one small matrix, shared by all shards of a layer's input. Kang et al., arXiv 2409.15371 (first called Bone).

The input is cut into shards of width r (the last is filled with zeros), the shards are added up, and the sum is
multiplied: ``y = W x + D^T sum_i x_i`` with ``D`` (r, outputs) zero at first. So every ``r`` columns of the update are
the same, its rank is at most r, and only ``r outputs`` numbers are trained, less than half of LoRA's. ``shards`` is
PEFT's "mini": ``D`` is trained (r, shards) and repeated along the outputs. From the paper by way of PEFT: the equation.
Ours: the ranges; the gradient of a sum of shards is larger than that of LoRA's random projection, hence lower rates.

Left out: "bat", the older Bone, whose update is multiplied with the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice


class MissSettings(MethodConfig):
    """Settings of MiSS."""

    rank: int = Field(16, gt=0)
    """Width r of a shard."""
    shards: int | None = Field(None, gt=0)
    """Columns of D that are trained and repeated; must divide the outputs. All of them if left out."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the input."""


class Miss(PeftMethod):
    """Shared shards."""

    kind = "miss"
    names = ("MiSS", "matrix shard sharing")
    plain_word = True
    summary = "one small matrix shared along the input; as cheap as LoRA, fewer parameters at the same rank"
    paper = "arXiv 2409.15371"
    transfers = True
    converts_to_lora = True
    Config: type[MethodConfig] = MissSettings
    lr = (2e-5, 2e-3, 2e-4)
    lr_source = "PEFT's comparison on a 3B model trains at 1e-4; the range around it is ours"
    step_cost = 2.9
    activation_cost = 1.4

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """The width of a shard."""
        return [
            rank_choice(stage, (8, 16, 32, 64), 16, max_rank),
            Choice(name="dropout.miss", path=f"{stage}.adapter.dropout", options=(0.0, 0.1), default=0.0),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``MissConfig``."""
        from peft import MissConfig

        return MissConfig(
            r=settings.rank,
            miss_dropout=settings.dropout,
            init_weights=True if settings.shards is None else "mini",
            mini_r=settings.shards or 1,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r outputs`` a layer, or ``r shards``.

        Raises:
            UsageError: a shard is wider than a layer's input, or the shards do not divide its outputs.
        """
        rank, shards = settings.rank, settings.shards
        for linear in linears:
            if rank > linear.inputs:
                raise UsageError(
                    f"'miss' with rank {rank} is wider than the {linear.inputs} inputs of '{linear.name}'",
                    f"take a rank of at most {linear.inputs}",
                )
            if shards is not None and linear.outputs % shards:
                raise UsageError(
                    f"'miss' with {shards} shards does not divide the {linear.outputs} outputs of '{linear.name}'",
                    "take 'shards' that divide the outputs of every layer, or leave them out",
                )
        return sum(rank * (shards or linear.outputs) for linear in linears)

    def extent(self, linear: Linear) -> int:
        """The outputs."""
        return linear.outputs


METHOD = Miss()
