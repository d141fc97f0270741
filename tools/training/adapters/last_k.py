"""Last k: the last transformer blocks and the final norm are trained in full, all before them stays as it is.

The old way of transfer learning: early layers read, late ones decide. Steps are cheap, since the backward pass ends
where training begins; what is saved are the trained weights alone, of their full size. Ours throughout: the default
of two blocks and the ranges, which lie between those of full fine-tuning and those of LoRA. Related are BitFit's and
surgical fine-tuning's findings (arXiv 2210.11466) that which layers are trained can matter more than how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models import placement
from tunewright.tools.models.adapter import keep_part
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.method import AdapterMethod, MethodConfig, Start

# The norm before the output head, under the names that decoders give it.
_FINAL_NORM = re.compile(r"(^|\.)(norm|ln_f|final_norm|final_layer_?norm|norm_f)\.(weight|bias)$")


class LastKSettings(MethodConfig):
    """Settings of the last k blocks."""

    blocks: int = Field(2, gt=0)
    """How many of the last transformer blocks."""


class LastK(AdapterMethod):
    """Trains the end of the model."""

    kind = "last_k"
    names = ("last layers", "last-k layers", "last k layers", "partial fine-tuning")
    summary = "full fine-tuning of the last few blocks only; cheap steps, saves those blocks whole"
    paper = "arXiv 2210.11466"
    Config: type[MethodConfig] = LastKSettings
    trains_adapter = False
    placements = ("all-linear",)
    step_cost = 1.6
    scoring_cost = 1.0
    activation_cost = 0.4
    lr = (2e-5, 1e-3, 2e-4)
    lr_source = "ours: between full fine-tuning's and LoRA's"

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """The number of blocks, and the learning rate."""
        path = f"{stage}.adapter.blocks"
        return [Choice(name="blocks.last_k", path=path, options=(1, 2), default=2), self.learning_rate(stage)]

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model itself, trainable at its end."""
        names = [name for name, _ in model.named_parameters()]
        chosen = set(_chosen(names, self.Config.model_validate(adapter.settings)))
        for name, weight in model.named_parameters():
            weight.requires_grad_(name in chosen)
        return keep_part(model, chosen)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """All of those blocks and the final norm."""
        settings = self.Config.model_validate(adapter.settings)
        chosen = set(_chosen([weight.name for weight in facts.weights], settings))
        return sum(weight.size for weight in facts.weights if weight.name in chosen)


def _chosen(names: Iterable[str], settings: Any) -> list[str]:
    """Names of the weights that are trained.

    Raises:
        UsageError: the model has fewer blocks.
    """
    layers = {name: placement.layer_of(name) for name in names}
    count = 1 + max((layer for layer in layers.values() if layer is not None), default=-1)
    if settings.blocks > count:
        raise UsageError(
            f"'last_k' with {settings.blocks} blocks asks for more than the {count} of this model",
            f"take at most {count} blocks" if count else "take 'full', which fits every model",
        )
    first = count - settings.blocks
    return [
        name
        for name, layer in layers.items()
        if (layer is not None and layer >= first) or (layer is None and _FINAL_NORM.search(name))
    ]


METHOD = LastK()
