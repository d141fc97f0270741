"""How a model is run to be measured: nothing about it is changed, and the numbers do not depend on the batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

from tunewright.tools.models.precision import Computed, autocast

if TYPE_CHECKING:
    import torch

HEAD_ELEMENTS = 2**25
"""Logits computed at a time: 128 MiB of fp32. The vocabulary, not the layers, is what fills memory in scoring."""

Progress = Callable[[int, int], None]
"""Is told rows done and rows in all."""


@contextmanager
def inference(model: Any, precision: str) -> Iterator[None]:
    """Evaluation mode, no gradients, autocast if ``precision`` is ``bf16``; every module's mode is put back.

    The language-model head runs in its weights' own precision even under autocast: bf16 logits are so coarse
    (steps of 1/8 around 20) that labels would tie.
    """
    import torch

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(autocast(cast(Computed, precision), device_of(model).type))
            if precision == "bf16":
                stack.enter_context(_exact_head(model))
            if hasattr(model, "peft_config"):
                from tunewright.tools.models.dora import norms_kept

                stack.enter_context(norms_kept(model))
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _exact_head(model: Any) -> Iterator[None]:
    import torch

    head = model.get_output_embeddings()
    if head is None:
        yield
        return
    device, weights = device_of(model).type, next(head.parameters()).dtype
    inside: list[Any] = []

    def enter(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        inside.append(torch.autocast(device, enabled=False))
        inside[-1].__enter__()
        return (args[0].to(weights), *args[1:])

    def leave(module: Any, args: tuple[Any, ...], output: Any) -> None:
        inside.pop().__exit__(None, None, None)

    hooks = [head.register_forward_pre_hook(enter), head.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def causal_lm(model: Any) -> Any:
    """The transformers model inside PEFT's wrapper, or the model itself. Its adapters stay active."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def device_of(model: Any) -> torch.device:
    device: torch.device = next(model.parameters()).device
    return device


def last_logits(model: Any, keep: int, **inputs: Any) -> torch.Tensor:
    """Logits of the last ``keep`` positions, (B, keep, V) in fp32; the head is not run on the others.

    Positions that a prompt adapter puts before the input are not among them, as long as ``keep`` is not longer.
    """
    if "logits_to_keep" in inspect.signature(causal_lm(model).forward).parameters:
        inputs["logits_to_keep"] = keep
    logits: torch.Tensor = model(**inputs, use_cache=False).logits
    return logits[:, -keep:].float()


def batches(order: Sequence[int], fits: Callable[[list[int]], bool]) -> Iterator[list[int]]:
    """Cuts ``order`` into runs that fit, each as long as possible and at least one long."""
    batch: list[int] = []
    for index in order:
        if batch and not fits([*batch, index]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
