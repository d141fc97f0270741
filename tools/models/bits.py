"""Frozen weights in 8 or 4 bits, by bitsandbytes, made whole again as they are multiplied with.

8 bits: LLM.int8, Dettmers et al., arXiv 2208.07339. 4 bits: NormalFloat with scales that are quantised too, Dettmers et
al., arXiv 2305.14314. The layers take the place of the linear modules below whatever adapter is on them, so that every
adapter that only multiplies with the weights can be trained so. What is trained then is put on the whole weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tunewright.tools.contract import FaultError


def quantise(model: Any, bits: int, compute: str) -> None:
    """Replaces every frozen linear module but the output head; what is quantised already stays as it is.

    Args:
        bits: 8 or 4.
        compute: ``bf16`` or ``fp32``, what is multiplied in under 4 bits.

    Raises:
        FaultError: ``config``: there is no bitsandbytes, or nothing to quantise.
    """
    import torch

    try:
        import bitsandbytes
    except ImportError as error:
        raise FaultError(
            "config", f"a base of {bits} bits needs bitsandbytes, which is not installed", 0
        ) from error  # fmt: skip
    types = (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt)
    if any(isinstance(module, types) for module in model.modules()):
        return
    dtype = torch.bfloat16 if compute == "bf16" else torch.float32
    found = list(frozen_linears(model))
    if not found:
        raise FaultError("config", f"this model has no frozen linear module that {bits} bits could hold", 0)
    for parent, name, linear in found:
        setattr(parent, name, _packed(linear, bits, dtype))


def frozen_linears(model: Any) -> Iterator[tuple[Any, str, Any]]:
    """Parent, name in it and module of the model's own linear modules that are not trained; not of the output head,
    nor of what adapters brought with them."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    head = model.get_output_embeddings()
    adapted = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    own = {id(module) for layer in adapted for module in layer.modules()}
    own -= {id(module) for layer in adapted for module in layer.get_base_layer().modules()}
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if type(module) is not torch.nn.Linear or id(module) in own or module is head:
                continue
            if module is not getattr(head, "base_layer", None) and not module.weight.requires_grad:
                yield parent, name, module


def _packed(linear: Any, bits: int, dtype: Any) -> Any:
    import bitsandbytes
    from torch import nn

    sizes = {"bias": linear.bias is not None, "device": "meta"}
    device = linear.weight.device
    layer: Any
    if bits == 4:
        layer = bitsandbytes.nn.Linear4bit(
            linear.in_features, linear.out_features, compute_dtype=dtype, quant_type="nf4", **sizes
        )
        layer.weight = bitsandbytes.nn.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4")
    else:
        layer = bitsandbytes.nn.Linear8bitLt(
            linear.in_features, linear.out_features, has_fp16_weights=False, threshold=6.0, **sizes
        )
        layer.weight = bitsandbytes.nn.Int8Params(linear.weight.data, requires_grad=False, has_fp16_weights=False)
    if linear.bias is not None:
        layer.bias = nn.Parameter(linear.bias.data, requires_grad=False)
    return layer.train(linear.training).to(device)
