"""Uni-LoRA: every entry of every LoRA matrix is taken from one short trained vector. Li et al., arXiv 2506.00799.

All ``D`` entries of the matrices ``A`` (r, inputs) and ``B`` (outputs, r) of all layers are ``P theta`` with ``theta``
(d,) trained and ``P`` (D, d) fixed: one entry a row, at random, ``1 / sqrt(n)`` where ``n`` rows share a column, so
that ``P^T P = 1``. The update is ``B A`` without a scale. From the paper: the projection, rank 4, ``theta`` uniform
within 0.02, hundreds of thousands of entries for 7B models. PEFT gives each entry of ``theta`` as near as can be
the same number of rows.

Ours: ``d`` is given as ``sharing``, how many LoRA entries share one number, so that one setting fits every model; the
paper's ``D / d`` is 6 for RoBERTa and about 20 for a 7B model, where PEFT's 256 numbers would share thousands. And
``theta`` starts within ``init_bound`` = 1e-4. ``B A`` cannot start at zero here (a zero ``theta`` has no gradient),
and where ``D / d`` is small, 0.02 changes what the base model computes visibly. Adam's steps do not depend on the
gradient's size: on a tiny model, bounds from 0.02 to 1e-5 led to the same loss within 80 steps.

The rows' columns are drawn anew from the seed when an adapter is loaded (numpy's PCG64) and not saved: saved, they
and their scales are twelve bytes for each LoRA entry, three times a LoRA checkpoint. A numpy that draws otherwise
would load another adapter: the price of one short vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, linears_of, rank_choice, transposed


class UniloraSettings(MethodConfig):
    """Settings of Uni-LoRA."""

    rank: int = Field(4, gt=0)
    """Rank r of the LoRA matrices; costs time, but no parameters."""
    sharing: int = Field(32, gt=0)
    """LoRA entries for each number that is trained."""
    length: int | None = Field(None, gt=0)
    """How many numbers d are trained, instead."""
    init_bound: float = Field(1e-4, gt=0)
    """The vector starts uniform in [-bound, bound]."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""


class Unilora(PeftMethod):
    """One trained vector for the whole model."""

    kind = "unilora"
    names = ("Uni-LoRA", "UniLoRA")
    summary = "one trained vector behind all LoRA matrices; choose its length freely, for the smallest checkpoints"
    paper = "arXiv 2506.00799"
    converts_to_lora = True
    Config: type[MethodConfig] = UniloraSettings
    fits_conv1d = True
    step_cost = 2.6
    activation_cost = 1.5
    lr = (5e-4, 5e-2, 1e-2)
    lr_source = "the code of arXiv 2506.00799: 8e-4 and 2e-3 for 7B models; the rest is ours, for small ones"

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Rank, and how many entries share a number."""
        return [
            rank_choice(stage, (4, 8, 16), 4, max_rank, why="arXiv 2506.00799 takes 4"),
            Choice(
                name="sharing",
                path=f"{stage}.adapter.sharing",
                options=(8, 32, 128, 512),
                default=32,
                why="arXiv 2506.00799: 6 for RoBERTa, about 20 for a 7B model",
            ),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``UniLoraConfig``; the projection is drawn from the stage's seed."""
        from peft import UniLoraConfig

        return UniLoraConfig(
            r=settings.rank,
            theta_d_length=self.size(linears_of(model, targets), settings),
            init_theta_d_bound=settings.init_bound,
            unilora_dropout=settings.dropout,
            proj_seed=start.seed,
            target_modules=targets,
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r sum(inputs + outputs) / sharing``, rounded up.

        Raises:
            UsageError: it is longer than there are LoRA entries to share it.
        """
        entries = settings.rank * sum(linear.inputs + linear.outputs for linear in linears)
        length = settings.length or math.ceil(entries / settings.sharing)
        if length > entries:
            raise UsageError(
                f"'unilora' with length {length} has more numbers than the {entries} entries of its LoRA matrices",
                f"take a length of at most {entries}, or leave 'length' out",
            )
        return int(length)


METHOD = Unilora()
