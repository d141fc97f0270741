"""Decoder layers that keep nothing but their input for the backward pass, and are run again in it.

Chen et al., arXiv 1604.06174. The layers are transformers' own, which know how to be checkpointed; which of them are is
said here. The state of chance is kept, so that what is dropped is dropped again: no number changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from tunewright.tools.contract import FaultError

_FLAG, _HOW = "gradient_checkpointing", "_gradient_checkpointing_func"


@contextmanager
def recomputed(model: Any, every: int) -> Iterator[None]:
    """Within the block, in training mode, every ``every``-th layer from the first on is run twice; none if 0.

    Raises:
        FaultError: ``config``: the model has no layers that can be.
    """
    found = layers(model) if every else []
    if every and not found:
        raise FaultError(
            "config", "this model has no layers that can be computed again in the backward pass: set checkpoint_every "
            "to 0", 0,
        )  # fmt: skip
    flag(found, every)
    try:
        yield
    finally:
        flag(found, 0)


def flag(layers: Sequence[Any], every: int) -> None:
    """Every ``every``-th of the layers is run twice in training mode, the others once; all of them once if 0."""
    from torch.utils.checkpoint import checkpoint

    for number, layer in enumerate(layers):
        if every and number % every == 0:
            setattr(layer, _FLAG, True)
            setattr(layer, _HOW, partial(checkpoint, use_reentrant=False, preserve_rng_state=True))
        else:
            layer.__dict__.pop(_FLAG, None)
            layer.__dict__.pop(_HOW, None)


def layers(model: Any) -> list[Any]:
    """The model's layers that can be run again, in their order; none that lies within another."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    found = {name: one for name, one in model.named_modules() if isinstance(one, GradientCheckpointingLayer)}
    return [one for name, one in found.items() if not any(name.startswith(f"{other}.") for other in found)]
