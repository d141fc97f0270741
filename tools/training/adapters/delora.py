"""DeLoRA: LoRA whose update has a bounded length that is trained apart. Bini et al., arXiv 2503.18225.

``W + (lambda / r) B N A diag(w)``: ``A`` (r, inputs) random, ``B`` (outputs, r) zero at first, ``N`` divides each of
the r rank-one terms by the lengths of its two vectors, ``w`` (inputs,) are the lengths of the columns of ``W``, and the
scalar ``lambda`` is trained. So learning rates set how fast directions turn, and ``lambda`` how far the model can go;
it bears learning rates at which LoRA breaks down. From the paper by way of PEFT: the equation and ``lambda`` = 15,
for models of billions of parameters. Ours: the lower ``bound`` and the ranges, for small ones.

Trap: lengths are divided out, so the first step already makes an update of nearly full length, ``lambda sqrt(r) / r``
over ``sqrt(inputs)`` of the weight, whatever the learning rate. In narrow models 15 is a leap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice


class DeloraSettings(MethodConfig):
    """Settings of DeLoRA."""

    rank: int = Field(8, gt=0)
    """Rank r of the update."""
    bound: float = Field(4.0, gt=0)
    """Where ``lambda`` starts."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Delora(PeftMethod):
    """LoRA with directions and length apart."""

    kind = "delora"
    names = ("DeLoRA", "decoupled low-rank adaptation")
    summary = "LoRA with a bounded update; bears learning rates and long training that LoRA does not"
    paper = "arXiv 2503.18225"
    Config: type[MethodConfig] = DeloraSettings
    converts_to_lora = True
    lr = (5e-4, 2e-2, 2e-3)
    lr_source = "PEFT's page on DeLoRA: ten to a hundred times LoRA's, typically 1e-3 to 1e-2"
    step_cost = 3.0
    activation_cost = 1.7

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and bound."""
        return [
            rank_choice(stage, (4, 8, 16, 32), 8, max_rank),
            Choice(name="bound.delora", path=f"{stage}.adapter.bound", options=(1.0, 2.0, 4.0, 8.0, 15.0), default=4.0),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``DeloraConfig``."""
        from peft import DeloraConfig

        return DeloraConfig(
            r=settings.rank,
            delora_lambda=settings.bound,
            module_dropout=settings.dropout,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r (inputs + outputs) + 1`` a layer."""
        return sum(settings.rank * (linear.inputs + linear.outputs) + 1 for linear in linears)


METHOD = Delora()
