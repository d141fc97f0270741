"""LoKr: the update is the Kronecker product of two small matrices. Yeh et al., arXiv 2309.14859.

``W + alpha / r C (x) D`` with ``outputs = c d`` and ``inputs = e f``: ``C`` (c, e) is full and starts at zero, ``D``
(d, f) is full where ``r`` is at least half of the larger of d and f, else a product ``D1 D2`` of rank r, by Kaiming's
uniform. Its rank is the product of both ranks. ``c`` and ``e`` are ``factor`` where that divides the width, otherwise
the divisor that brings both parts nearest to each other without passing ``factor``; -1 means no such limit, so that
both are near the square root: the fewest parameters. From the paper: the equation, ``factor`` of 8, and the levels of
learning rate that it compares (for image models). PEFT applies ``alpha / r`` even where ``D`` is full; so here.

The product is made as a matrix of the weight's size in every step, which takes the time of full fine-tuning's
products. PEFT does not take GPT-2's transposed layers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice


class LokrSettings(MethodConfig):
    """Settings of LoKr."""

    rank: int = Field(16, gt=0)
    """Rank r of the second matrix, where that is smaller than the matrix in full."""
    alpha: float = Field(16.0, gt=0)
    """Numerator of the scale; the update is multiplied by ``alpha / r``."""
    factor: int = 8
    """Rows and columns of the first matrix; -1 for the width's divisor nearest to its square root."""
    decompose_both: bool = False
    """Whether the first matrix is a product of rank r too, where that is smaller."""

    @field_validator("factor")
    @classmethod
    def _positive_or_free(cls, factor: int) -> int:
        if factor < 1 and factor != -1:
            raise ValueError(f"factor must be positive, or -1 for the divisor nearest to the square root; got {factor}")
        return factor


class Lokr(PeftMethod):
    """The Kronecker product of two small matrices."""

    kind = "lokr"
    names = ("LoKr", "low-rank Kronecker product")
    summary = "Kronecker product of two small matrices: high rank from few parameters; slower steps"
    paper = "arXiv 2309.14859"
    transfers = True
    converts_to_lora = True
    Config: type[MethodConfig] = LokrSettings
    step_cost = 4.9
    scoring_cost = 2.4
    activation_cost = 2.3
    lr = (1e-4, 1e-2, 3e-3)
    lr_source = "arXiv 2309.14859, section 5, compares 1e-4 to 1e-3; PEFT's comparison trains at 3e-3"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank and factor."""
        return [
            rank_choice(stage, (4, 8, 16, 32), 16, max_rank),
            Choice(name="factor", path=f"{stage}.adapter.factor", options=(4, 8, 16, -1), default=8),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``LoKrConfig``."""
        from peft import LoKrConfig

        return LoKrConfig(
            r=settings.rank,
            alpha=settings.alpha,
            decompose_factor=settings.factor,
            decompose_both=settings.decompose_both,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """The entries of both matrices, or of their factors."""
        return sum(_layer(linear, settings) for linear in linears)


def _layer(linear: Linear, settings: LokrSettings) -> int:
    rows, columns = split(linear.outputs, settings.factor), split(linear.inputs, settings.factor)
    second_rows, second_columns = linear.outputs // rows, linear.inputs // columns
    first = _matrix(rows, columns, settings.rank if settings.decompose_both else None)
    return first + _matrix(second_rows, second_columns, settings.rank)


def _matrix(rows: int, columns: int, rank: int | None) -> int:
    low = rank is not None and rank < max(rows, columns) / 2
    return rank * (rows + columns) if low and rank is not None else rows * columns


def split(width: int, factor: int) -> int:
    """The part of ``width`` that the first matrix takes: a divisor of it.

    Args:
        factor: wanted; -1 if the two parts should be as near to each other as can be.
    """
    if factor > 0 and width % factor == 0:
        return factor
    limit = width if factor == -1 else factor
    return max(part for part in range(1, limit + 1) if width % part == 0 and part * part <= width)


METHOD = Lokr()
