"""LoRA-GA: LoRA whose first step goes where full fine-tuning's would. Wang, Yu and Li, arXiv 2407.05000.

With ``G = U S V^T`` (outputs, inputs) the gradient of a weight on training rows, ``A0 = c V_{1..r}^T`` (r, inputs) and
``B0 = c U_{r+1..2r}`` (outputs, r), ``c = outputs^(1/4) / sqrt(gamma)``; the update is ``s (B A - B0 A0)`` with
``s = alpha / sqrt(r)``. From the paper and its code: the equations, rsLoRA's scale, alpha of 16 at rank 8, gamma of
16 (64 for their largest models). Ours: the gradient of 32 rows, as its mean over the labelled tokens; how it is saved
(``tools/training/residual.py``). A rank takes two directions of the gradient, hence at most half of a module's
smaller side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.residual import Residual, ResidualSettings


class LoraGaSettings(ResidualSettings):
    """Settings of LoRA-GA."""

    alpha: float = Field(16, gt=0)
    """Numerator of the scale ``alpha / sqrt(r)``."""
    gamma: float = Field(16, gt=0)
    """The larger, the smaller both matrices start."""


class LoraGa(Residual):
    """Starts at the gradient's singular directions."""

    kind = "lora_ga"
    names = ("LoRA-GA", "LoRA GA", "low-rank adaptation with gradient approximation")
    summary = "LoRA that starts along the gradient of the task; converges in fewer steps, looks at 32 rows first"
    paper = "arXiv 2407.05000"
    Config: type[MethodConfig] = LoraGaSettings
    directions_per_rank = 2
    lr = (1e-5, 1e-3, 1e-4)
    lr_source = "the paper trains T5-base at 1e-4 and Llama 2 7B at 2e-5 to 5e-5"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and gamma."""
        gamma = Choice(name="gamma.lora_ga", path=f"{stage}.adapter.gamma", options=(8, 16, 32, 64), default=16)
        return [*super().own_dimensions(stage, max_rank=max_rank), gamma]

    def scale(self, settings: Any) -> float:
        """rsLoRA's."""
        return float(settings.alpha / settings.rank**0.5)

    def starts(
        self, layers: Mapping[str, Any], model: Any, settings: Any, start: Start
    ) -> Iterator[tuple[str, Any, Any]]:
        """The gradient's first r directions in the inputs, its next r in the outputs."""
        from tunewright.tools.models.lowrank import top_singular
        from tunewright.tools.training.probe import weight_gradients

        modules = {name: layer.get_base_layer() for name, layer in layers.items()}
        rank = settings.rank
        for name, gradient in weight_gradients(model, modules, start):
            left, _, right = top_singular(gradient, 2 * rank, seed=start.seed)
            size = gradient.shape[0] ** 0.25 / settings.gamma**0.5
            yield name, size * right[:rank], size * left[:, rank:]


METHOD = LoraGa()
