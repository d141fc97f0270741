"""A LoRA layer whose start is taken off again: ``W x + s (B A - B0 A0) x``, the same as training ``B A`` beside the
residual weight ``W - s B0 A0``.

Initialisations from a weight's own directions move a part of ``W`` into ``B A`` and freeze the rest. Here the frozen
half stands beside the trained one in matrices of rank 2r, ``[A; A0]`` and ``[B, -B0]``, and ``W`` stays what it is:
the adapter switched off is the base model, rounding ``W`` to bf16 loses no more than for LoRA, equal halves cancel to
the bit, and the result is a stock LoRA of rank 2r as it stands. Dropout falls on the whole difference, so that it
does not blot out a part of ``W``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers.pytorch_utils import Conv1D

_PREFIX = "base_model.model."


class Beside(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Puts a frozen matrix beside a trained one."""

    frozen: torch.Tensor

    def __init__(self, frozen: torch.Tensor, dim: int) -> None:
        super().__init__()
        self.register_buffer("frozen", frozen)
        self.dim = dim

    def forward(self, trained: torch.Tensor) -> torch.Tensor:
        return torch.cat((trained, self.frozen), self.dim)


def lora_layers(model: Any, adapter: str = "default") -> dict[str, Any]:
    """The layers of a LoRA adapter by their module's name in the base model, in the model's order."""
    from peft.tuners.lora import LoraLayer

    return {
        name.removeprefix(_PREFIX): layer
        for name, layer in model.named_modules()
        if isinstance(layer, LoraLayer) and adapter in layer.lora_A
    }


def base_weight(layer: Any) -> torch.Tensor:
    """The frozen weight of an adapted linear module as (outputs, inputs), in fp32."""
    module = layer.get_base_layer()
    weight: torch.Tensor = module.weight.detach().float()
    return weight.T if isinstance(module, Conv1D) else weight


def start_at(layer: Any, down: torch.Tensor, up: torch.Tensor) -> None:
    """Starts the layer's LoRA at ``B A`` and takes that off, so that its output stays what it was.

    Args:
        down: ``A``, (rank, inputs).
        up: ``B``, (outputs, rank).
    """
    for linear, start, sign, dim in (
        (layer.lora_A["default"], down, 1, 0),
        (layer.lora_B["default"], up, -1, 1),
    ):
        with torch.no_grad():
            linear.weight.copy_(start)
            frozen = sign * linear.weight.detach().clone()
        # Unsafe is what torch calls a parametrisation that changes the shape.
        parametrize.register_parametrization(linear, "weight", Beside(frozen, dim), unsafe=True)


def frozen_halves(model: Any) -> dict[str, torch.Tensor]:
    """What is taken off, by name; part of a checkpoint, since rounding may differ where it is computed anew."""
    return {name: module.frozen for name, module in model.named_modules() if isinstance(module, Beside)}
