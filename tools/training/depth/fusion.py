"""One layer that stands for several: DevFT's layer fusion (DBLF), arXiv 2508.00041.

``anchor + beta * sum_j (theta_j - anchor)`` with the group's first layer as the anchor.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch


def fused(weights: Sequence[torch.Tensor], beta: float) -> torch.Tensor:
    """Of tensors of one shape, the first of which is the anchor; computed in fp32, in the anchor's precision."""
    anchor = weights[0].detach().float()
    away = torch.zeros_like(anchor)
    for weight in weights[1:]:
        away += weight.detach().float() - anchor
    return (anchor + beta * away).to(weights[0].dtype)


def representative(layers: Sequence[Any], group: Sequence[int], beta: float) -> Any:
    """The layer that stands for a group: what is frozen is fused, what is trained is the anchor's own, the same tensor.

    So training it trains the anchor's adapter, and no base weight of the model is touched. The only layer of a group
    stands for itself.

    Args:
        layers: of the model, alike in their parameters.
        group: numbers of layers, the anchor's first.
    """
    anchor = layers[group[0]]
    if len(group) == 1:
        return anchor
    trained = {id(weight): weight for weight in anchor.parameters() if weight.requires_grad}
    made = copy.deepcopy(anchor, dict(trained))
    others = [dict(layers[member].named_parameters()) for member in group]
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if id(weight) not in trained:
                weight.copy_(fused([weights[name] for weights in others], beta))
    return made


def fuse_adapters(adapters: Sequence[Mapping[str, torch.Tensor]], group: Sequence[int], beta: float) -> None:
    """Fuses what the layers of a group have learned apart from each other, in the anchor's place.

    Args:
        adapters: of each layer, its trained weights by name.
    """
    with torch.no_grad():
        for name, weight in adapters[group[0]].items():
            weight.copy_(fused([adapters[member][name] for member in group], beta))


def transfer(adapters: Sequence[Mapping[str, torch.Tensor]], group: Sequence[int]) -> None:
    """Gives all layers of a group what its anchor has learned."""
    with torch.no_grad():
        for member in group[1:]:
            for name, weight in adapters[member].items():
                weight.copy_(adapters[group[0]][name])
