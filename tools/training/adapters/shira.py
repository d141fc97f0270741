"""SHiRA: some entries of each weight are trained, all others are not. Bhardwaj et al., arXiv 2406.13175.

``W + S`` with ``S`` (outputs, inputs) zero but for ``r (inputs + outputs)`` entries, as many as LoRA would train at
rank r; the update's own rank is not bounded. From the paper: the equation and two of its masks, ``random`` and
``magnitude`` (the entries where ``|W|`` is largest). Ours: the ranges.

Traps: PEFT draws random masks from one seed, so layers of equal shape share theirs; the mask is saved with the
adapter. Each pass makes ``W + S`` anew, and its gradient is as large as the weight, so it spares storage, not memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice


class ShiraSettings(MethodConfig):
    """Settings of SHiRA."""

    rank: int = Field(8, gt=0)
    """Sets the number of entries: those of a LoRA of this rank."""
    mask: Literal["random", "magnitude"] = "random"
    """Which entries."""


class Shira(PeftMethod):
    """Sparse updates."""

    kind = "shira"
    names = ("SHiRA", "sparse high rank adapter", "sparse high-rank adapter")
    summary = "trains one entry in a hundred of each weight; high rank, and several adapters add up with little clash"
    paper = "arXiv 2406.13175"
    Config: type[MethodConfig] = ShiraSettings
    reads_weights = True
    lr = (5e-5, 2e-3, 4e-4)
    lr_source = "PEFT's comparison on a 3B model trains at 3e-4; the range around it is ours"
    step_cost = 3.2
    scoring_cost = 2.1
    activation_cost = 1.5

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """How many entries, and which."""
        return [
            rank_choice(stage, (4, 8, 16, 32), 8, max_rank),
            Choice(name="mask.shira", path=f"{stage}.adapter.mask", options=("random", "magnitude"), default="random"),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``ShiraConfig``."""
        from peft import ShiraConfig

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that PEFT knows no such mask: it is given one below
            config = ShiraConfig(
                r=settings.rank,
                mask_type=settings.mask,
                random_seed=start.seed,
                target_modules=targets,
                task_type="CAUSAL_LM",
            )
        if settings.mask == "magnitude":
            config.mask_fn = _largest
        return config

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``r (inputs + outputs)`` a layer.

        Raises:
            UsageError: that is more than the layer has.
        """
        rank = settings.rank
        for linear in linears:
            most = linear.inputs * linear.outputs // (linear.inputs + linear.outputs)
            if rank > most:
                raise UsageError(
                    f"'shira' with rank {rank} wants more entries than '{linear.name}' has", f"take at most rank {most}"
                )
        return sum(rank * (linear.inputs + linear.outputs) for linear in linears)


def _largest(layer: Any, rank: int, **_: Any) -> Any:
    """A mask (outputs, inputs) of the entries of largest magnitude; of equal ones the first."""
    import torch

    weight = layer.weight.detach()
    order = weight.abs().flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[order[: rank * sum(weight.shape)]] = True
    return mask.view_as(weight)


METHOD = Shira()
