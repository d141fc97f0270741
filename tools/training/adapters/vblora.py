"""VB-LoRA: LoRA matrices put together from one bank of short vectors. Li et al., arXiv 2405.15179.

The rows of ``A`` (r, inputs) and the columns of ``B`` (outputs, r) of all layers are cut into pieces of ``b`` entries.
A piece is the mean of the ``k`` vectors of the bank (h, b) with the highest of its own ``h`` logits, weighted by their
softmax; bank and logits are trained. The update is ``B A`` without a scale. From the paper: the equation, ``k`` = 2,
rank 4, and a learning rate ten times as high for the logits as for the bank. ``b`` must divide all widths; by default
it is the largest divisor of all of them up to 256, PEFT's.

Ours: the bank starts uniform within ``init_bound`` = 1e-4 instead of 0.02. ``B A`` cannot start at zero here (a zero
bank has no gradient), and 0.02 would start away from the base model. Adam's steps do not depend on the gradient's
size: on a tiny model, bounds from 0.02 to 1e-5 led to the same loss within 80 steps.

The logits, ``h`` for each piece, are most of what is trained, though nothing but the ``k`` best matter in the end.
PEFT can save those alone, but their logarithms do not come back to the bit, so everything is saved here: the
checkpoint is not the small one that the paper speaks of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models import placement
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, linears_of, rank_choice, transposed

_LONGEST = 256


class VbloraSettings(MethodConfig):
    """Settings of VB-LoRA."""

    rank: int = Field(4, gt=0)
    """Rank r of the LoRA matrices."""
    vectors: int = Field(64, gt=1)
    """Vectors h in the bank."""
    vector_length: int | None = Field(None, gt=0)
    """Entries b of each; None for the largest divisor of all widths up to 256."""
    topk: int = Field(2, gt=0)
    """Vectors k that make up a piece."""
    init_bound: float = Field(1e-4, gt=0)
    """The bank starts uniform in [-bound, bound]."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Vblora(PeftMethod):
    """Mixtures of shared vectors."""

    kind = "vblora"
    names = ("VB-LoRA", "vector bank LoRA")
    summary = "LoRA from a bank of vectors that all layers share; many mixing logits while it trains"
    paper = "arXiv 2405.15179"
    converts_to_lora = True
    Config: type[MethodConfig] = VbloraSettings
    fits_conv1d = True
    step_cost = 2.5
    activation_cost = 1.5
    lr = (3e-4, 2e-2, 3e-3)
    lr_source = "the code of arXiv 2405.15179 trains the bank at 1e-3, logits at 1e-2; higher is ours, for small models"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and the size of the bank."""
        return [
            rank_choice(stage, (2, 4, 8), 4, max_rank),
            Choice(name="vectors", path=f"{stage}.adapter.vectors", options=(32, 64, 128, 256), default=64),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``VBLoRAConfig``."""
        from peft import VBLoRAConfig

        return VBLoRAConfig(
            r=settings.rank,
            num_vectors=settings.vectors,
            vector_length=_length(linears_of(model, targets), settings),
            topk=settings.topk,
            init_vector_bank_bound=settings.init_bound,
            vblora_dropout=settings.dropout,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def lr_factor(self, weight: str, adapter: Adapter) -> float:
        """Ten for the logits."""
        return 10.0 if "vblora_logits" in weight else 1.0

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``h b`` for the bank, ``h`` logits for each of the ``r (inputs + outputs) / b`` pieces of a layer.

        Raises:
            UsageError: the vectors' length does not divide a width, or the bank is smaller than a mixture.
        """
        length = _length(linears, settings)
        return int(settings.vectors * (length + _pieces(linears, settings.rank, length)))

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """As ``size`` says; for a placement that a probe decides, with the longest bank and the shortest pieces."""
        settings = VbloraSettings.model_validate(adapter.settings)
        chosen = self.linears(facts, adapter)
        if placement.probed(adapter.placement) is None or settings.vector_length:
            return self.size(chosen, settings)
        shortest = _length(facts.linears, settings)
        return settings.vectors * (_LONGEST + _pieces(chosen, settings.rank, shortest))


def _pieces(linears: Sequence[Linear], rank: int, length: int) -> int:
    return sum(rank * (linear.inputs + linear.outputs) // length for linear in linears)


def _length(linears: Sequence[Linear], settings: VbloraSettings) -> int:
    """Entries of a vector, checked."""
    if settings.topk > settings.vectors:
        raise UsageError(
            f"'vblora' cannot mix {settings.topk} vectors of a bank of {settings.vectors}", "take a smaller 'topk'"
        )
    common = math.gcd(*(width for linear in linears for width in (linear.inputs, linear.outputs)))
    if settings.vector_length is None:
        return max(length for length in range(1, min(common, _LONGEST) + 1) if common % length == 0)
    if common % settings.vector_length:
        raise UsageError(
            f"'vblora' with vector_length {settings.vector_length} does not divide all widths of this model",
            f"take a divisor of {common}, or leave 'vector_length' out",
        )
    return settings.vector_length


METHOD = Vblora()
