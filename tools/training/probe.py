"""What a model's linear modules see and want on the first training rows, before anything is trained.

For initialisations that look at data. Whatever is asked for is computed for as many modules at a time as fit into
a fixed memory, with further passes over the rows for the others. Weights, gradients, modes and random state of the
model are as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tunewright.tools.training.method import Start

ROWS = 32
"""Of a probe."""
_NUMBERS = 2**28
"""Held at a time, 1 GiB in fp32."""


def second_moments(model: Any, modules: Mapping[str, Any], start: Start) -> Iterator[tuple[str, Any]]:
    """(name, ``X^T X / tokens``) of each module's inputs ``X`` (tokens, inputs), padding left out; in fp32.

    Modules with the same input are given the same tensor object.

    Args:
        model: the base model.
        modules: name -> linear module within it.
    """
    for group in _groups(modules, lambda module: _sizes(module)[0] ** 2):
        yield from _moments(model, group, start).items()


def weight_gradients(model: Any, modules: Mapping[str, Any], start: Start) -> Iterator[tuple[str, Any]]:
    """(name, gradient of the mean loss of the labelled tokens (outputs, inputs)) of each module's weight; in fp32.

    Args:
        model: the base model.
        modules: name -> linear module within it.
    """
    for group in _groups(modules, lambda module: _sizes(module)[0] * _sizes(module)[1]):
        yield from _gradients(model, group, start).items()


def summed_loss(model: Any, batch: Mapping[str, Any]) -> Any:
    """The negative log-likelihood of the labelled tokens, summed; its graph starts at the embeddings."""
    import torch

    # The embeddings need no gradient of their own; asking for theirs lets the graph start with frozen weights.
    embedded = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_(True)
    logits = model(inputs_embeds=embedded, attention_mask=batch["attention_mask"], use_cache=False).logits
    labels = batch["labels"][:, 1:]
    wanted = labels != -100
    return torch.nn.functional.cross_entropy(logits[:, :-1][wanted].float(), labels[wanted], reduction="sum")


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Evaluation mode and no gradients of weights inside; everything as it was afterwards."""
    training = {module: module.training for module in model.modules()}
    wanted = [weight.requires_grad for weight in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for weight, want in zip(model.parameters(), wanted, strict=True):
            weight.requires_grad_(want)
        for module, mode in training.items():
            module.training = mode


class _Moments:
    """Sums ``X^T X`` of the modules' inputs, once for modules that have the same."""

    def __init__(self) -> None:
        self.sums: dict[str, Any] = {}
        self.owner: dict[str, str] = {}
        """Module -> the module whose sum it shares."""
        self.mask: Any = None
        self._last: Any = None
        self._last_name = ""

    def add(self, name: str, x: Any) -> None:
        # Modules with one input run one after the other, so only the last input is kept to compare with.
        if x is self._last and self.owner.get(name, self._last_name) == self._last_name:
            self.owner[name] = self._last_name
            return
        self.owner[name] = name
        self._last, self._last_name = x, name
        rows = _tokens(x, self.mask)
        moment = rows.T @ rows
        self.sums[name] = self.sums[name] + moment if name in self.sums else moment

    def forget_last(self) -> None:
        self._last = None


def _moments(model: Any, modules: Mapping[str, Any], start: Start) -> dict[str, Any]:
    import torch

    found = _Moments()
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: found.add(name, args[0]))
        for name, module in modules.items()
    ]
    total = 0
    try:
        with untouched(model), torch.no_grad():
            for batch in start.rows(ROWS):
                found.mask = batch["attention_mask"].bool()
                total += int(found.mask.sum())
                model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)
                found.forget_last()
    finally:
        for hook in hooks:
            hook.remove()
    means = {name: moment / max(1, total) for name, moment in found.sums.items()}
    return {name: means[found.owner[name]] for name in modules if name in found.owner}


def backward(model: Any, start: Start) -> None:
    """Sends the mean loss over the labelled tokens of the probe's rows back through the layers, for hooks to see.

    No weight gets a gradient; mode and random state are as before.
    """
    import torch

    with untouched(model), torch.enable_grad():
        batches = start.rows(ROWS)
        labelled = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
        for batch in batches:
            (summed_loss(model, batch) / max(1, labelled)).backward()


def _gradients(model: Any, modules: Mapping[str, Any], start: Start) -> dict[str, Any]:

    found: dict[str, Any] = {}

    def watch(name: str, x: Any, output: Any) -> None:
        inputs = x.detach()

        def left(gradient: Any) -> None:
            step = gradient.float().flatten(0, -2).T @ inputs.float().flatten(0, -2)
            found[name] = found[name] + step if name in found else step

        output.register_hook(left)

    hooks = [
        module.register_forward_hook(lambda _, args, output, name=name: watch(name, args[0], output))
        for name, module in modules.items()
    ]
    try:
        backward(model, start)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _tokens(x: Any, mask: Any) -> Any:
    """(tokens, inputs) in fp32, without padding where the module sees whole rows."""
    return (x[mask] if x.shape[:-1] == mask.shape else x.flatten(0, -2)).float()


def _sizes(module: Any) -> tuple[int, int]:
    """Inputs and outputs."""
    from transformers.pytorch_utils import Conv1D

    first, second = module.weight.shape
    return (first, second) if isinstance(module, Conv1D) else (second, first)


def _groups(modules: Mapping[str, Any], numbers: Callable[[Any], int]) -> Iterator[dict[str, Any]]:
    """The modules in parts that hold at most the memory there is, at least one module each."""
    group: dict[str, Any] = {}
    held = 0
    for name, module in modules.items():
        if group and held + numbers(module) > _NUMBERS:
            yield group
            group, held = {}, 0
        group[name] = module
        held += numbers(module)
    if group:
        yield group
