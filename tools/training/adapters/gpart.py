"""GPart: one trained vector, spread over all weights by a random partition. Mandica et al., arXiv 2605.14841.

``dw_i = theta[g(i)] / sqrt(n_g(i))`` for the N weights of the adapted modules, ``g`` a partition into d groups of
``n_j`` weights: ``vec(dW) = P theta`` with ``P`` (N, d), ``P^T P = 1``, so distances between updates are those
between vectors, and ``dL/dtheta = P^T vec(G)``. ``theta`` (d,) starts at zero. Exactly d parameters are trained; a
checkpoint is d numbers and the seed, which is part of the model. ``dW`` is of full rank, hence no LoRA; it can be
merged.

From the paper and its code: the equation, independent draws of ``g``, dropout on ``dW``, no biases, the ablation
without ``1 / sqrt(n)``; d = 23,040 and rates about 5e-3 for RoBERTa on query and value, d = 131,072 and 2e-4 for a
0.5B language model. Ours: the balanced partition (groups dealt out in turn, shuffled within each module), the order
of modules by name, no dropout by default, the ranges. An Adam step moves a weight by about ``lr / sqrt(N / d)``, so
more weights a group want a larger rate.

Traps: the change of a weight of W's size is built in every pass, twice in training, and each adapted weight holds a
4-byte index. A group that no weight was drawn into (there is none where balanced) is an idle parameter. The sum
``W + dW`` is rounded to the precision of the products, as merging would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod


class GPartSettings(MethodConfig):
    """Settings of GPart."""

    d: int = Field(8192, gt=0)
    """Length of the vector: how many parameters are trained."""
    partition: Literal["iid", "balanced"] = "iid"
    """How weights come to their groups: each drawn by itself, or all groups of one size."""
    isometric: bool = True
    """Whether each group's share is divided by the root of its size."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the weights' change."""


class GPart(PeftMethod):
    """One vector for the whole model."""

    kind = "gpart"
    names = ("GPart",)
    summary = "one vector spread over all weights; a checkpoint of kilobytes that still has full rank"
    paper = "arXiv 2605.14841"
    converts_to_lora = True
    Config: type[MethodConfig] = GPartSettings
    reads_weights = True
    fits_conv1d = True
    lr = (2e-4, 2e-2, 3e-3)
    step_cost = 3.5
    scoring_cost = 2.1
    activation_cost = 1.5

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """The vector's length, and how it is spread."""
        return [
            Choice(
                name="d.gpart",
                path=f"{stage}.adapter.d",
                options=(512, 2048, 8192, 32768, 131072),
                default=8192,
                why="23,040 for RoBERTa-base and 131,072 for 0.5B parameters in the paper's code",
            ),
            Choice(
                name="partition.gpart", path=f"{stage}.adapter.partition", options=("iid", "balanced"), default="iid"
            ),
            Choice(name="isometric.gpart", path=f"{stage}.adapter.isometric", options=(True, False), default=True),
            Choice(name="dropout.gpart", path=f"{stage}.adapter.dropout", options=(0.0, 0.05, 0.1), default=0.0),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config; the stage's seed draws the partition."""
        from tunewright.tools.models.tuners.gpart import Config

        return Config(
            d=settings.d,
            partition=settings.partition,
            isometric=settings.isometric,
            dropout=settings.dropout,
            seed=start.seed,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``d``."""
        total = sum(linear.inputs * linear.outputs for linear in linears)
        if settings.d > total:
            raise UsageError(
                f"'gpart' expects d of at most {total:,}, the number of weights it sits on, got {settings.d:,}",
                "take a smaller d, or a placement with more modules",
            )
        return int(settings.d)


METHOD = GPart()
