"""GraLoRA: a weight is cut into k by k blocks, each with a LoRA of its own. Jung et al., arXiv 2505.20355.

Block (i, j) of the update is ``alpha / (r + h) B_ij A_ij`` of rank ``r / k``, with as many parameters in all as LoRA of
rank r, while the rank of the whole grows up to ``k r``. ``hybrid_rank`` h adds a LoRA over the whole weight. From the
paper by way of PEFT: the equation, ``B`` zero at first, k of 2 up to rank 32 and of 4 from 64 on. Ours: lower ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice, transposed


class GraloraSettings(MethodConfig):
    """Settings of GraLoRA."""

    rank: int = Field(16, gt=0)
    """Rank r: parameters are those of a LoRA of this rank. A multiple of ``blocks``."""
    blocks: int = Field(2, gt=0)
    """The weight is cut into k by k of them; must divide inputs and outputs."""
    hybrid_rank: int = Field(0, ge=0)
    """Rank h of a LoRA over the whole weight beside the blocks."""
    alpha: float = Field(32, gt=0)
    """The update is multiplied by ``alpha / (r + h)``."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Gralora(PeftMethod):
    """A LoRA for each block of a weight."""

    kind = "gralora"
    names = ("GraLoRA", "granular LoRA", "granular low-rank adaptation")
    summary = "a LoRA for each block of a weight; higher rank at LoRA's size, for ranks of 16 and more"
    paper = "arXiv 2505.20355"
    transfers = True
    Config: type[MethodConfig] = GraloraSettings
    fits_conv1d = True
    converts_to_lora = True
    lr = (5e-5, 2e-3, 4e-4)
    lr_source = "PEFT's comparison on a 3B model trains at 2e-4; the range around it is ours"
    step_cost = 3.1
    activation_cost = 1.6

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, alpha and blocks."""
        where = f"{stage}.adapter"
        ranks = rank_choice(stage, (8, 16, 32, 64), 16, max_rank)
        blocks = [n for n in (2, 4) if all(isinstance(rank, int) and rank % n == 0 for rank in ranks.options)] or [1]
        return [
            ranks,
            Choice(name="alpha", path=f"{where}.alpha", options=(8, 16, 32, 64), default=32),
            Choice(name="blocks.gralora", path=f"{where}.blocks", options=tuple(blocks), default=blocks[0]),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``GraloraConfig``."""
        from peft import GraloraConfig

        return GraloraConfig(
            r=settings.rank,
            gralora_k=settings.blocks,
            hybrid_r=settings.hybrid_rank,
            alpha=settings.alpha,
            gralora_dropout=settings.dropout,
            fan_in_fan_out=transposed(model),
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``(r + h) (inputs + outputs)`` a layer.

        Raises:
            UsageError: the blocks do not divide the rank or a layer's widths.
        """
        blocks = settings.blocks
        if settings.rank % blocks:
            raise UsageError(
                f"'gralora' cannot divide rank {settings.rank} among {blocks} blocks",
                f"take a rank that is a multiple of {blocks}",
            )
        for linear in linears:
            if linear.inputs % blocks or linear.outputs % blocks:
                raise UsageError(
                    f"'gralora' cannot cut '{linear.name}' of {linear.outputs} by {linear.inputs} into {blocks} by "
                    f"{blocks} blocks",
                    "take 'blocks' that divide inputs and outputs of every layer, such as 2",
                )
        return sum((settings.rank + settings.hybrid_rank) * (linear.inputs + linear.outputs) for linear in linears)


METHOD = Gralora()
