"""LoRA+: LoRA whose ``B`` learns faster than its ``A``. Hayou, Ghosh and Yu, arXiv 2402.12354.

The learning rate of ``B`` is ``ratio`` times that of ``A``; the recipe's rate is ``A``'s. From the paper: in wide
models the rate of ``B`` should be larger for both to learn, and a ratio of 16 is a sound choice, smaller where the
task is easy or the model is small. Ours: the range of rates, LoRA's divided by what the default ratio gains on
average. What is trained and saved is plain LoRA.
"""

from __future__ import annotations

from pydantic import Field

from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training.adapters.lora import Lora, LoraSettings
from tunewright.tools.training.method import MethodConfig


class LoraplusSettings(LoraSettings):
    """Settings of LoRA+."""

    ratio: float = Field(16, ge=1)
    """The learning rate of ``B`` over that of ``A``."""


class Loraplus(Lora):
    """LoRA with two learning rates."""

    kind = "loraplus"
    names = ("LoRA+", "LoRA plus")
    summary = "LoRA whose second matrix learns faster; often fewer steps to the same loss"
    paper = "arXiv 2402.12354"
    Config: type[MethodConfig] = LoraplusSettings
    everyday = False
    lr = (2e-5, 1e-3, 1e-4)
    lr_source = "A's rate; the paper's best are some four times below LoRA's single rate at a ratio of 16"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """LoRA's, and the ratio."""
        return [
            *super().own_dimensions(stage, max_rank=max_rank),
            Choice(name="ratio.loraplus", path=f"{stage}.adapter.ratio", options=(2, 4, 8, 16, 32), default=16),
        ]

    def lr_factor(self, weight: str, adapter: Adapter) -> float:
        """``ratio`` for ``B``, one for ``A``."""
        if ".lora_B." not in weight:
            return 1.0
        return LoraplusSettings.model_validate(adapter.settings).ratio


METHOD = Loraplus()
