"""What a depth spares and what it holds, before anything is launched. No torch: forecasts ask."""

from __future__ import annotations

from tunewright.domain.depth import Depth
from tunewright.tools.training.depth.course import depths, shares


def mean_depth(depth: Depth, layers: int) -> float:
    """Layers that a step of the stage goes through, in the mean, over all there are: what its steps cost of a whole
    model's.

    Raises:
        UsageError: the first depth is no shallower than the model.
    """
    found = depths(depth, layers)
    return sum(share * one / layers for share, one in zip(shares(depth, len(found)), found, strict=True))


def copied(layers: int, shallow: int) -> int:
    """Layers that are held beside the model's own at a depth, at most: each stands for two or more."""
    return min(shallow, layers - shallow)


def exchanged_bytes(depth: Depth, trained: int) -> float:
    """What a server and its clients hold beside the weights in training: the server's, and what it averages.

    Args:
        trained: parameters, of which half are LoRA's ``B``.
    """
    if depth.clients == 1:
        return 0.0
    held = {"ab": 8.0, "share_a": 4.0 + 2.0 * depth.clients, "product_svd": 4.0 * depth.clients}
    return (4.0 + held[depth.average]) * trained
