"""Bottleneck adapters: one to three small residual networks in sequence after attention, after the MLP, or both.

    ``h <- h + W_up act(W_down h + b_down) + b_up``, ``count`` times; ``W_up`` (outputs, width) starts at zero

From Abou Baker, Rohrschneider and Handmann, arXiv 2606.01947 (first MAKE 2024, 6(4), 2783-2807): several adapters in
sequence in each transformer block, so that capacity grows with their count and not with their width; two or three a
block were the best balance, and they beat LoRA where the data lie far from what the model knows. Theirs is instance
segmentation. Ours: the place on the output of the block's two projections into the residual stream (before
GPT-2's dropout), as in Houlsby et al., arXiv 1902.00751, whose sweep of learning rates of 3e-5 to 3e-3 is taken up;
no norm before ``W_down``; width, activation and ``W_down`` drawn as LoRA draws ``A``; their use on language models.

The placement says where: ``all-linear`` is after both, ``attention`` and ``mlp`` after the one. ``page-K`` puts them
after whichever linear modules the probe chooses. The paper's LoRA on deformable attention is the placement
``deformable-attention`` of the LoRA family.

Trap: they stay in the model. An adapter after each block costs time at every pass of inference, and cannot be merged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models import placement
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod, rank_choice

# The last linear module of attention and of the MLP; experts of a mixture are none.
_END = re.compile(
    r"(attn|attention)\.(o_proj|out_proj|output_proj|c_proj|dense|wo)$"
    r"|(mlp|feed_forward|ffn)\.(down_proj|c_proj|fc2|dense_4h_to_h|w2|wo)$"
    r"|\d\.fc2$"
)


class BottleneckSettings(MethodConfig):
    """Settings of bottleneck adapters."""

    count: int = Field(2, ge=1, le=3)
    """Adapters in sequence at each place."""
    width: int = Field(16, gt=0)
    """Width of the bottleneck."""
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    """In the bottleneck."""


class Bottleneck(PeftMethod):
    """Small networks between the layers."""

    kind = "bottleneck"
    names = ("bottleneck adapters", "sequential adapters", "Houlsby adapters")
    plain_word = True
    summary = "small residual networks after attention and MLP; for data far from what the model knows, never merged"
    paper = "arXiv 2606.01947"
    transfers = True
    Config: type[MethodConfig] = BottleneckSettings
    placements = ("all-linear", "attention", "mlp")
    mergeable = False
    fits_conv1d = True
    lr = (1e-4, 3e-3, 1e-3)
    lr_source = "arXiv 1902.00751 sweeps 3e-5 to 3e-3"
    step_cost = 2.4
    activation_cost = 1.2

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Count and width."""
        return [
            Choice(
                name="count.bottleneck",
                path=f"{stage}.adapter.count",
                options=(1, 2, 3),
                default=2,
                why="two or three a block are the best balance: arXiv 2606.01947",
            ),
            rank_choice(stage, (16, 32, 64, 128, 256), 16, max_rank, name="width"),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.bottleneck import Config

        return Config(
            count=settings.count,
            width=settings.width,
            activation=settings.activation,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """``count (2 outputs width + width + outputs)`` at each place."""
        count, width = settings.count, settings.width
        return sum(count * (2 * linear.outputs * width + width + linear.outputs) for linear in linears)

    def extent(self, linear: Linear) -> int:
        """They follow a module's output."""
        return linear.outputs

    def targets(self, model: Any, adapter: Adapter, start: Start) -> list[str]:
        """The ends of attention and MLP within the placement."""
        if placement.probed(adapter.placement) is not None:
            return super().targets(model, adapter, start)
        everything = [name for name, _ in model.named_modules()]
        placed = placement.select(placement.linear_modules(model), adapter.placement)
        return placement.suffixes(_ends(placed), everything)

    def linears(self, facts: ModelFacts, adapter: Adapter) -> list[Linear]:
        """Likewise; a probe may choose any linear module."""
        placed = super().linears(facts, adapter)
        if placement.probed(adapter.placement) is not None:
            return placed
        ends = set(_ends([linear.name for linear in placed]))
        return [linear for linear in placed if linear.name in ends]


def _ends(names: Sequence[str]) -> list[str]:
    found = [name for name in names if _END.search(name)]
    if not found:
        raise UsageError(
            "'bottleneck' finds no output projection of an attention or an MLP among the modules of this placement",
            "take the placement 'all-linear', or 'lora', which fits every model",
        )
    return found


METHOD = Bottleneck()
