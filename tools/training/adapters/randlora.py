"""RandLoRA: a full-rank update as a trained sum of frozen random low-rank ones. Albert et al., arXiv 2502.00987.

``W + s sum_j B_j diag(lambda_j) A diag(gamma_j)`` over ``N = ceil(m / r)`` bases, ``m`` the smaller and ``M`` the
larger of inputs and outputs: ``B_j`` (M, r) and the one ``A`` (r, m) are frozen, random and cut out of a set that all
layers share; ``lambda_j`` (r,) starts at zero, ``gamma_j`` (m,) at ``1 / max(N, m)``, and the product is turned around
where the layer is wider at its input. ``N (r + m)`` numbers a layer: a *lower* rank trains more of them, and
takes longer. From the paper and PEFT: the equation, bases of unit variance, ``s`` of 2 to 20 (PEFT's
``randlora_alpha / r``). With a large ``s`` a high learning rate diverges.

The bases are the same for every seed (PEFT's key 0), as PEFT serves several RandLoRA adapters on one model only if
they share them. They are drawn anew when an adapter is loaded and not saved, since PEFT would save a copy for every
layer: 0.7 GB where 4 MB are meant, for a model of 135M. They come from torch's generator on the CPU in bf16 (fp16 on
a device without bf16); a torch that draws otherwise would load another adapter.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice, transposed


class RandloraSettings(MethodConfig):
    """Settings of RandLoRA."""

    rank: int = Field(32, gt=0)
    """Rank r of each basis; the lower, the more bases, parameters and time."""
    scale: float = Field(20.0, gt=0)
    """``s``, the factor of the update."""
    sparse: bool = False
    """Bases of -1, 0 and 1, two thirds of them 0."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Randlora(PeftMethod):
    """Trained scales of random bases that span the full rank."""

    kind = "randlora"
    names = ("RandLoRA",)
    summary = "full-rank updates at LoRA's parameter count, from random bases; for tasks where low rank falls short"
    paper = "arXiv 2502.00987"
    converts_to_lora = True
    Config: type[MethodConfig] = RandloraSettings
    fits_conv1d = True
    step_cost = 5.2
    scoring_cost = 2.6
    activation_cost = 1.8
    lr = (3e-5, 1e-3, 2e-4)
    lr_source = "the code of arXiv 2502.00987: 1e-4 for models of 0.5B to 8B, 2e-4 for GPT-2"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, scale and sparsity."""
        return [
            rank_choice(stage, (8, 16, 32, 64), 32, max_rank),
            Choice(name="scale.randlora", path=f"{stage}.adapter.scale", options=(2.0, 10.0, 20.0), default=20.0),
            Choice(name="sparse", path=f"{stage}.adapter.sparse", options=(False, True), default=False),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``RandLoraConfig``."""
        from peft import RandLoraConfig

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Specified to not save basis")  # on purpose: see above
            return RandLoraConfig(
                r=settings.rank,
                randlora_alpha=settings.scale * settings.rank,
                sparse=settings.sparse,
                randlora_dropout=settings.dropout,
                save_projection=False,
                target_modules=targets,
                fan_in_fan_out=transposed(model),
                task_type="CAUSAL_LM",
            )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``N (r + m)`` a layer.

        Raises:
            UsageError: one basis alone has a higher rank than a layer.
        """
        narrow = min(linears, key=lambda linear: min(linear.inputs, linear.outputs))
        least = min(narrow.inputs, narrow.outputs)
        if settings.rank > least:
            raise UsageError(
                f"'randlora' with rank {settings.rank} is above the full rank {least} of '{narrow.name}'",
                f"take a rank of at most {least}",
            )
        return sum(_layer(min(linear.inputs, linear.outputs), settings.rank) for linear in linears)


def _layer(smaller: int, rank: int) -> int:
    return math.ceil(smaller / rank) * (rank + smaller)


METHOD = Randlora()
