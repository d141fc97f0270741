"""Which precision a model computes in, and the one context that makes it so in training and evaluation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Literal

Computed = Literal["fp32", "bf16"]


def resolve_device() -> str:
    """``cuda`` if a GPU can be used here, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_precision(asked: str = "auto", device: str | None = None) -> Computed:
    """``auto`` is bf16 where the device multiplies bf16 natively, else fp32; anything else is itself.

    On a CPU that means the instruction sets avx512_bf16 or amx_bf16: without them bf16 is emulated and slower.
    """
    if asked == "bf16" or (asked == "auto" and _native_bf16(device or resolve_device())):
        return "bf16"
    return "fp32"


def autocast(precision: Computed, device: str) -> AbstractContextManager[Any]:
    """The context forward passes run in. Weights stay fp32; matrix products run in ``precision``."""
    import torch

    context: AbstractContextManager[Any] = torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")
    return context


def narrow_frozen(model: Any) -> None:
    """Keeps frozen linear weights in bf16. Under bf16 autocast every number stays what it is, to the bit.

    Autocast rounds these weights to bf16 at every pass and keeps the copies for the backward pass; rounding them once
    spares the time, the copies and half of the weights. Not for a method that reads the weights themselves, nor where
    an adapter will be merged into them. All other weights leave the checkpoint's memory map, so that it can go.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    narrow = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    for weight in model.parameters():
        if not weight.requires_grad:
            weight.data = weight.data.bfloat16() if id(weight) in narrow else weight.data.clone()


def _native_bf16(device: str) -> bool:
    if device == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"} & _cpu_flags())


@cache
def _cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux tells them; empty elsewhere, which means fp32."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
