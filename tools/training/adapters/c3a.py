"""C3A: updates of circulant blocks, trained as their kernels. arXiv 2407.19342.

The update (outputs, inputs) consists of square blocks of ``b`` by ``b``, each a circulant matrix, given by the ``b``
entries of one kernel: ``inputs outputs / b`` numbers a layer, and up to full rank. It is applied by Fourier transforms
and divided by ``inputs`` (as PEFT does), hence learning rates of 0.1 and more. From the paper and PEFT: the equation;
PEFT recommends a block near ``sqrt(inputs outputs) / r`` where LoRA would have rank r. Ours: the kernels start at zero,
so that the model starts as the base model, where paper and PEFT draw them (Xavier's uniform); and the block size
is the greatest common divisor of all widths over ``division``, so that one setting fits every model.

PEFT does not take GPT-2's transposed layers here, and computes in fp32 throughout.
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
from tunewright.tools.training.peft_method import PeftMethod, linears_of


class C3aSettings(MethodConfig):
    """Settings of C3A."""

    division: int = Field(2, gt=0)
    """The block size is the greatest common divisor of all widths over this; parameters grow with it."""
    block_size: int | None = Field(None, gt=0)
    """The block size b itself, instead."""


class C3a(PeftMethod):
    """Block-circulant updates."""

    kind = "c3a"
    names = ("C3A", "circular convolution adaptation")
    summary = "block-circulant updates of high rank with few parameters; wants a learning rate of 0.1 and more"
    paper = "arXiv 2407.19342"
    transfers = True
    converts_to_lora = True
    Config: type[MethodConfig] = C3aSettings
    step_cost = 3.9
    scoring_cost = 4.0
    activation_cost = 1.4
    lr = (2e-2, 1.0, 1e-1)
    lr_source = "PEFT's page on C3A recommends 1e-1 and its comparison trains at 3e-1"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """How small the blocks are."""
        return [Choice(name="division", path=f"{stage}.adapter.division", options=(1, 2, 4, 8), default=2)]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``C3AConfig``."""
        from peft import C3AConfig

        return C3AConfig(
            block_size=_block(linears_of(model, targets), settings),
            init_weights=True,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``inputs outputs / b`` a layer.

        Raises:
            UsageError: the block does not divide a width.
        """
        block = _block(linears, settings)
        return sum(linear.inputs * linear.outputs // block for linear in linears)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """As ``size`` says; for a placement that a probe decides, with the smallest block it could lead to."""
        settings = C3aSettings.model_validate(adapter.settings)
        chosen = self.linears(facts, adapter)
        if placement.probed(adapter.placement) is not None and settings.block_size is None:
            settings = C3aSettings(block_size=_block(facts.linears, settings))
        return self.size(chosen, settings)


def _block(linears: Sequence[Linear], settings: C3aSettings) -> int:
    """The block size, checked."""
    common = math.gcd(*(width for linear in linears for width in (linear.inputs, linear.outputs)))
    if settings.block_size is not None:
        if common % settings.block_size:
            raise UsageError(
                f"'c3a' with block_size {settings.block_size} does not divide all widths of this model",
                f"take a divisor of {common}, or leave 'block_size' out",
            )
        return settings.block_size
    if common % settings.division:
        raise UsageError(
            f"'c3a' cannot divide {common}, the greatest common divisor of this model's widths, by {settings.division}",
            f"take a 'division' that divides {common}",
        )
    return common // settings.division


METHOD = C3a()
