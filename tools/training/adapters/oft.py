"""OFT: each layer's input is rotated, block by block. Qiu et al., arXiv 2306.07280; input-centric as in OFTv2.

``y = W R x`` with ``R`` (inputs, inputs) block-diagonal, blocks of ``b`` by ``b``. A block is the Cayley transform
``(I - Q)(I + Q)^-1`` of a skew-symmetric ``Q`` of ``b (b - 1) / 2`` numbers, which start at zero. Angles between
neurons stay what they are, which is what the method is for. From OFTv2 (arXiv 2506.19847) by way of PEFT: rotating
activations instead of weights, and the inverse as a Neumann series of five terms. The series holds for small ``Q``
only, so a high learning rate leaves the orthogonal matrices; ``exact`` solves instead, at a higher price. Ours: the
ranges.

Traps: where a block does not divide a width PEFT silently takes another block, so here that is refused. PEFT's
``module_dropout`` is read by no forward pass in 0.21 and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod


class OftSettings(MethodConfig):
    """Settings of OFT."""

    block_size: int = Field(32, gt=1)
    """Side b of a block; must divide the inputs of every layer it sits on."""
    exact: bool = False
    """Solve for the rotation instead of summing five terms of its series."""


class Oft(PeftMethod):
    """Rotations of the inputs."""

    kind = "oft"
    names = ("OFT", "orthogonal fine-tuning", "orthogonal finetuning")
    summary = "rotates each layer's input in blocks; keeps what the model knows, size set by the block"
    paper = "arXiv 2306.07280"
    Config: type[MethodConfig] = OftSettings
    lr = (3e-5, 1e-3, 2e-4)
    lr_source = "PEFT's comparison on a 3B model trains at 1e-4; the range around it, where the series holds, is ours"
    step_cost = 2.6
    activation_cost = 1.7

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """The block's size."""
        path = f"{stage}.adapter.block_size"
        return [Choice(name="block_size.oft", path=path, options=(8, 16, 32), default=32)]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``OFTConfig``."""
        from peft import OFTConfig

        return OFTConfig(
            oft_block_size=settings.block_size,
            use_cayley_neumann=not settings.exact,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``inputs (b - 1) / 2`` a layer.

        Raises:
            UsageError: the block does not divide a layer's inputs.
        """
        block = settings.block_size
        for linear in linears:
            if linear.inputs % block:
                raise UsageError(
                    f"'oft' with block_size {block} does not divide the {linear.inputs} inputs of '{linear.name}'",
                    "take a 'block_size' that divides the inputs of every layer, such as 8 or 16",
                )
        return sum(linear.inputs * (block - 1) // 2 for linear in linears)

    def extent(self, linear: Linear) -> int:
        """The inputs."""
        return linear.inputs


METHOD = Oft()
