"""HRA: each weight is multiplied by a chain of reflections. Yuan et al., arXiv 2405.17484.

``y = W H_1 ... H_r x`` with Householder reflections ``H_i = I - 2 u_i u_i^T``, ``u_i`` (inputs,) of length one: an
orthogonal matrix that differs from the identity in rank r, so between LoRA and OFT. Reflections start in equal pairs,
which cancel each other; hence r is even. From the paper: the equation and the start. Ours: the ranges.

Traps: PEFT's ``apply_GS`` makes the ``u_i`` orthogonal to each other, which divides by zero at that start, and is left
out. Only directions of ``u_i`` count, so weight decay raises the effective learning rate. PEFT multiplies r matrices
of (inputs, inputs) at each pass and keeps them for the backward pass: ``2 r inputs^2`` numbers a layer, which
forecasts of memory do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice


class HraSettings(MethodConfig):
    """Settings of HRA."""

    reflections: int = Field(8, gt=0)
    """Their number r, which is the rank of what changes; even."""


class Hra(PeftMethod):
    """Chains of reflections."""

    kind = "hra"
    names = ("HRA", "Householder reflection adaptation")
    summary = "multiplies each weight by a few reflections; orthogonal like OFT, low-rank like LoRA"
    paper = "arXiv 2405.17484"
    Config: type[MethodConfig] = HraSettings
    reads_weights = True
    lr = (1e-4, 5e-3, 1e-3)
    lr_source = "PEFT's comparison on a 3B model trains at 1e-4; the upper end, for small models and data, is ours"
    step_cost = 16.0
    scoring_cost = 12.0
    activation_cost = 8.0
    kept_share = 0.85

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """The number of reflections, two at least."""
        most = None if max_rank is None else max(2, max_rank)
        return [rank_choice(stage, (2, 4, 8, 16), 8, most, name="reflections")]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``HRAConfig``."""
        from peft import HRAConfig

        return HRAConfig(r=settings.reflections, target_modules=targets, task_type="CAUSAL_LM")

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r inputs`` a layer.

        Raises:
            UsageError: an odd number of reflections, or more than a layer has inputs.
        """
        count = settings.reflections
        if count % 2:
            raise UsageError(
                f"'hra' needs an even number of reflections to start as the base model, not {count}",
                f"take {count + 1} reflections",
            )
        narrow = min(linears, key=lambda linear: linear.inputs, default=None)
        if narrow is not None and count > narrow.inputs:
            raise UsageError(
                f"'hra' with {count} reflections has more than the {narrow.inputs} inputs of '{narrow.name}'",
                f"take at most {narrow.inputs} reflections",
            )
        return sum(count * linear.inputs for linear in linears)

    def extent(self, linear: Linear) -> int:
        """The inputs."""
        return linear.inputs


METHOD = Hra()
