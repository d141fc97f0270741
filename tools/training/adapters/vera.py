"""VeRA: one frozen random pair of matrices, two trained vectors a layer. Kopiczko et al., arXiv 2310.11454.

``W + diag(b) B diag(d) A`` with ``A`` (r, inputs) and ``B`` (outputs, r) cut out of one shared random pair (section
3), ``d`` (r,) starting at 0.1 and ``b`` (outputs,) at zero: ``r + outputs`` numbers a layer, and the base model at
first. From the paper: Kaiming's uniform for the pair, the start of ``d`` (table 6c: 0.1 or less), ranks of 256 to 1024,
and learning rates ten times LoRA's (tables 8 to 10). A rank above the layer's width is fine, as the pair is not
trained.

The pair is the same for every seed (PEFT's key 0), as PEFT serves several VeRA adapters on one model only if they
share it; so the seed decides nothing but the order of the data. It is saved once with the adapter: ``4 r (inputs +
outputs)`` bytes of the widest layer, more than the vectors, but then no later version of torch can draw another.
A second adapter on the same model must be no wider and of no higher rank than the first: PEFT's limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice, transposed


class VeraSettings(MethodConfig):
    """Settings of VeRA."""

    rank: int = Field(256, gt=0)
    """Rank r of the frozen pair; far higher than LoRA's."""
    d_initial: float = Field(0.1, gt=0)
    """Start of the vector ``d``."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Vera(PeftMethod):
    """Trained scales around a frozen random pair."""

    kind = "vera"
    names = ("VeRA", "vector-based random matrix adaptation")
    summary = "two trained vectors a layer around random matrices; a tenth of LoRA's parameters"
    paper = "arXiv 2310.11454"
    transfers = True
    converts_to_lora = True
    Config: type[MethodConfig] = VeraSettings
    fits_conv1d = True
    step_cost = 3.6
    scoring_cost = 1.8
    activation_cost = 2.0
    lr = (2e-3, 1e-1, 1e-2)
    lr_source = "arXiv 2310.11454, tables 8 to 10: 4e-3 to 3e-2 for RoBERTa and Llama, 1e-1 for GPT-2 medium"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and the start of ``d``."""
        return [
            rank_choice(stage, (64, 128, 256, 512), 256, max_rank, why="arXiv 2310.11454 takes 256 and 1024"),
            Choice(name="d_initial", path=f"{stage}.adapter.d_initial", options=(0.01, 0.1), default=0.1),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``VeraConfig``."""
        from peft import VeraConfig

        return VeraConfig(
            r=settings.rank,
            d_initial=settings.d_initial,
            vera_dropout=settings.dropout,
            save_projection=True,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r + outputs`` a layer."""
        return sum(settings.rank + linear.outputs for linear in linears)


METHOD = Vera()
