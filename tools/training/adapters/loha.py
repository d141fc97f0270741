"""LoHa: the update is the entrywise product of two low-rank matrices. Hyeon-Woo et al., arXiv 2108.06098.

``W + alpha / r (B1 A1) * (B2 A2)`` with ``B1``, ``B2`` (outputs, r) and ``A1``, ``A2`` (r, inputs): of rank up to
``r^2`` for twice LoRA's parameters at rank r (FedPara's proposition 1; Yeh et al., arXiv 2309.14859, brought it to
fine-tuning). One factor starts at zero, the others by Kaiming's uniform, as PEFT does. From the second paper: ``r`` of
4 with ``alpha`` of 2 for LoHa, and the levels of learning rate that it compares. Its experience is with image models.

The product is made as a matrix of the weight's size in every step, which takes the time of full fine-tuning's
products. PEFT does not take GPT-2's transposed layers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice


class LohaSettings(MethodConfig):
    """Settings of LoHa."""

    rank: int = Field(4, gt=0)
    """Rank r of each factor; the update's is up to r^2."""
    alpha: float = Field(4.0, gt=0)
    """Numerator of the scale; the update is multiplied by ``alpha / r``."""


class Loha(PeftMethod):
    """The Hadamard product of two low-rank updates."""

    kind = "loha"
    names = ("LoHa", "low-rank Hadamard product")
    summary = "product of two low-rank updates: rank r^2 for LoRA's parameters at 2r; slower steps"
    paper = "arXiv 2108.06098"
    transfers = True
    converts_to_lora = True
    Config: type[MethodConfig] = LohaSettings
    step_cost = 5.3
    scoring_cost = 1.7
    activation_cost = 2.3
    lr = (1e-4, 1e-2, 2e-3)
    lr_source = "arXiv 2309.14859, section 5, compares 1e-4, 5e-4 and 1e-3; higher is ours, for small models"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and alpha."""
        return [
            rank_choice(stage, (2, 4, 8, 16), 4, max_rank),
            Choice(name="alpha.loha", path=f"{stage}.adapter.alpha", options=(2.0, 4.0, 8.0, 16.0), default=4.0),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``LoHaConfig``."""
        from peft import LoHaConfig

        return LoHaConfig(r=settings.rank, alpha=settings.alpha, target_modules=targets, task_type="CAUSAL_LM")

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``2 r (inputs + outputs)`` a layer."""
        return sum(2 * settings.rank * (linear.inputs + linear.outputs) for linear in linears)


METHOD = Loha()
