"""How far training has moved a linear layer's weight, whatever adapter moves it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers.pytorch_utils import Conv1D

from tunewright.domain.errors import UsageError
from tunewright.tools.models.tuner import DeltaLayer


def moved(module: Any) -> torch.Tensor | None:
    """What is added to the weight of the layer below, (outputs, inputs) in fp32; the weight itself where that is
    trained in place; None where nothing trains it.

    Raises:
        UsageError: the adapter is no change of a weight.
    """
    if not isinstance(module, BaseTunerLayer):
        weight = module.weight
        return _turned(module, weight.detach().float().clone()) if weight.requires_grad else None
    base = module.get_base_layer()
    with torch.no_grad():
        if isinstance(module, DeltaLayer):
            return sum_of([module.get_delta_weight(name) for name in module.active_adapters if module.holds(name)])
        if isinstance(module, LoraLayer) and not any(module.lora_variant.values()):
            names = [name for name in module.active_adapters if name in module.lora_A]
            return sum_of([_turned(base, module.get_delta_weight(name)) for name in names])
        return _turned(base, _merged(module) - base.weight.detach().float())


def sum_of(deltas: list[torch.Tensor]) -> torch.Tensor | None:
    """None if there are none."""
    return torch.stack([delta.detach().float() for delta in deltas]).sum(0) if deltas else None


def _turned(base: Any, weight: torch.Tensor) -> torch.Tensor:
    """(outputs, inputs), whichever way round the layer keeps its weight."""
    return weight.T if isinstance(base, Conv1D) else weight


def _merged(module: Any) -> torch.Tensor:
    """The weight with the adapter in it, of a copy of the layer."""
    twin = copy.deepcopy(module).float()
    try:
        twin.merge()
    except (AttributeError, NotImplementedError, ValueError) as error:
        raise UsageError(
            f"how far the weights have moved cannot be told of this adapter: {type(module).__name__} cannot be merged",
            "take an adapter that merges, such as lora, or set stability to 0",
        ) from error
    weight: torch.Tensor = twin.get_base_layer().weight.detach()
    return weight
