"""BOFT: OFT whose rotation is a product of sparse ones, as in a fast Fourier transform. Liu et al., arXiv 2311.06243.

``y = s * (W R_m ... R_1 x)``: each factor is block-diagonal with blocks of ``b`` by ``b`` (exact Cayley transforms,
zero at first) between butterfly permutations, so that ``m`` factors mix ``b 2^(m-1)`` inputs; ``s`` (outputs,) starts
at one. From the paper: the equation. From PEFT: the scale ``s``, and ``b^2`` trained numbers a block, of which only
the skew-symmetric half counts. Ours: the ranges.

Traps: PEFT compiles a CUDA extension for block-diagonal matrices and, where that fails, silently goes down to one
factor, which is OFT. Here it gets the same operation in plain torch (``tools/models/butterfly.py``), so a recipe means
the same on every machine; without tunewright an adapter of several factors loads only where the extension compiles.
PEFT makes the rotation of (inputs, inputs) anew at each pass and holds each factor's permutation as a dense matrix:
``m inputs^2`` numbers a layer, which forecasts of memory do not know. For small models.
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


class BoftSettings(MethodConfig):
    """Settings of BOFT."""

    block_size: int = Field(4, gt=1)
    """Side b of a block; even where there are several factors."""
    factors: int = Field(2, gt=0)
    """Number m of sparse rotations; one is OFT."""


class Boft(PeftMethod):
    """Products of butterfly rotations."""

    kind = "boft"
    names = ("BOFT", "butterfly OFT", "orthogonal butterfly")
    summary = "OFT by a product of sparse rotations, with fewer parameters; slow, for small models"
    paper = "arXiv 2311.06243"
    Config: type[MethodConfig] = BoftSettings
    lr = (1e-4, 5e-3, 1e-3)
    lr_source = "PEFT's comparison on a 3B model trains at 1e-4; the upper end, for small blocks and data, is ours"
    step_cost = 35.0
    scoring_cost = 18.0
    activation_cost = 6.0

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Block and number of factors."""
        where = f"{stage}.adapter"
        return [
            Choice(name="block_size.boft", path=f"{where}.block_size", options=(2, 4, 8), default=4),
            Choice(name="factors.boft", path=f"{where}.factors", options=(1, 2, 3), default=2),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``BOFTConfig``."""
        from peft import BOFTConfig

        return BOFTConfig(
            boft_block_size=settings.block_size,
            boft_n_butterfly_factor=settings.factors,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``m b inputs + outputs`` a layer.

        Raises:
            UsageError: a layer's inputs cannot be mixed in such blocks, or blocks of several factors are odd.
        """
        block, factors = settings.block_size, settings.factors
        if factors > 1 and block % 2:
            raise UsageError(f"'boft' with {factors} factors needs even blocks, not of {block}", "take block_size 4")
        mixed = block * 2 ** (factors - 1)
        for linear in linears:
            if linear.inputs % mixed:
                raise UsageError(
                    f"'boft' with blocks of {block} and {factors} factors does not divide the {linear.inputs} inputs "
                    f"of '{linear.name}'",
                    f"take blocks and factors for which block_size * 2^(factors - 1), now {mixed}, divides the inputs",
                )
        return sum(factors * block * linear.inputs + linear.outputs for linear in linears)

    def extent(self, linear: Linear) -> int:
        """Mostly the inputs."""
        return 2 * linear.inputs + linear.outputs


METHOD = Boft()
