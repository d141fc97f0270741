"""What flows through a model's last linear layers: inputs, gradients at their outputs, and who attended to whom.

A linear layer's gradient is a sum over positions of an output gradient times an input. Whoever has the factors has the
gradient of every single token without ever forming it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PretrainedConfig
from transformers.pytorch_utils import Conv1D

from tunewright.domain.errors import UsageError
from tunewright.tools.models.placement import layer_of
from tunewright.tools.training.learning import Batch
from tunewright.tools.training.scoring import token_scores

_FUSED = ("c_attn", "qkv_proj")
"""Queries, keys and values one after the other in one matrix, as GPT-2 and Phi-3 have them."""


@dataclass(frozen=True)
class Projection:
    """One linear layer, with the adapter on it if there is one."""

    name: str
    module: Any
    values: slice | None = None
    """Which of its outputs are an attention's values; None if none are."""
    attention: Any = None
    """The attention whose values they are."""


@dataclass(frozen=True)
class Trace:
    """What one batch left at a projection; positions of a trained prompt are not in it."""

    inputs: torch.Tensor
    """(rows, tokens, inputs)."""
    errors: torch.Tensor
    """(rows, tokens, outputs): the gradient of the batch's summed loss at the outputs."""
    attention: torch.Tensor | None
    """(rows, tokens, tokens): weights by which the first looks at the second, the mean over heads; at values alone."""


def projections(model: Any, layers: int) -> list[Projection]:
    """The linear layers of the last ``layers`` layers; neither embeddings, head nor an adapter's own matrices.

    Raises:
        UsageError: the model has no numbered layers, or no value projection known here.
    """
    modules = dict(model.named_modules())
    adapted = [name for name, module in modules.items() if isinstance(module, BaseTunerLayer)]
    beside = hasattr(model, "peft_config")
    found: dict[str, Any] = {}
    for name, module in modules.items():
        inside = any(name.startswith(f"{outer}.") for outer in adapted if outer != name)
        base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        own = beside and base is module and any(weight.requires_grad for weight in module.parameters(recurse=False))
        if isinstance(base, torch.nn.Linear | Conv1D) and layer_of(name) is not None and not inside and not own:
            found[name] = module
    last = sorted({layer_of(name) for name in found}, key=lambda layer: layer or 0)[-layers:]
    chosen = [_projection(name, module, modules) for name, module in found.items() if layer_of(name) in last]
    if not any(one.values for one in chosen):
        raise UsageError(
            "the value projections of this model's attention are not known",
            f"take a model whose layers are numbered and have v_proj, {' or '.join(_FUSED)}",
        )
    return chosen


def _projection(name: str, module: Any, modules: dict[str, Any]) -> Projection:
    parent, _, part = name.rpartition(".")
    attention = modules[parent]
    if part == "v_proj":
        return Projection(name, module, slice(None), attention)
    if part in _FUSED:
        config = attention.config.get_text_config()
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        values = size * (getattr(config, "num_key_value_heads", None) or heads)
        return Projection(name, module, slice(-values, None), attention)
    return Projection(name, module)


def traces(model: Any, at: Sequence[Projection], batch: Batch, wanted: torch.Tensor) -> list[Trace]:
    """One for each projection, under the negative log-likelihood summed over the wanted positions.

    Attention is computed in the one way that tells its weights and dropout is off; both are as before afterwards, and
    so are all gradients. Nothing is kept of the layers below the first projection.

    Args:
        wanted: (rows, tokens - 1) truth values: whether the token after this position has loss.
    """
    tokens = batch["input_ids"].shape[1]
    inputs: dict[str, torch.Tensor] = {}
    outputs: dict[str, torch.Tensor] = {}
    looks: dict[str, torch.Tensor] = {}

    def keep(name: str, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        inputs[name] = args[0].detach()[:, -tokens:]
        outputs[name] = output if output.requires_grad else output.detach().requires_grad_()
        return outputs[name].clone()  # so that nothing after it can write into what was kept

    def look(name: str, output: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        if output[1] is None:
            raise UsageError("this model's attention does not tell its weights", "take a Llama, Qwen, Gemma or GPT-2")
        looks[name] = output[1].detach().float().mean(1)[:, -tokens:, -tokens:]

    hooks = [one.module.register_forward_hook(lambda _, args, out, of=one.name: keep(of, args, out)) for one in at]
    hooks += [
        one.attention.register_forward_hook(lambda _, args, out, of=one.name: look(of, out)) for one in at if one.values
    ]
    try:
        with _frozen(model), _eager(model), torch.enable_grad():
            loss = -token_scores(model, batch, wanted).sum()
            errors = torch.autograd.grad(loss, [outputs[one.name] for one in at])
    finally:
        for hook in hooks:
            hook.remove()
    return [
        Trace(inputs[one.name].float(), error[:, -tokens:].float(), looks.get(one.name))
        for one, error in zip(at, errors, strict=True)
    ]


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Within the block no weight asks for a gradient and nothing is dropped."""
    trained, was = [weight for weight in model.parameters() if weight.requires_grad], model.training
    model.eval()
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
        model.train(was)


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Within the block attention is computed with weights that can be seen."""
    configs = {id(module.config): module.config for module in model.modules() if _configured(module)}
    before = [(config, config._attn_implementation) for config in configs.values()]
    try:
        for config, _ in before:
            config._attn_implementation = "eager"
        yield
    finally:
        for config, implementation in before:
            config._attn_implementation = implementation


def _configured(module: Any) -> bool:
    return isinstance(getattr(module, "config", None), PretrainedConfig)
