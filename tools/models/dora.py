"""DoRA's norms from the factors of its update: the update itself is never made, and they are kept while it is frozen.

Of a row ``w`` of the weight and ``d`` of ``B A`` the squared length is ``|w|^2 + 2 s <w, d> + s^2 |d|^2``. All rows'
``<w, d>`` are the row sums of ``(W A^T) * B``, and their ``|d|^2`` those of ``(B (A A^T)) * B``: matrices as narrow as
the rank, where PEFT's layer multiplies an identity with ``A`` and ``B`` and adds the whole product to a copy of ``W``.
DoRA: Liu et al., arXiv 2402.09353, section 4.3 for what is detached.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.helpers import DoraCaching
from peft.tuners.lora.dora import DoraLinearLayer, cache_decorator
from peft.utils.integrations import dequantize_module_weight
from peft.utils.other import transpose


class FactoredDora(DoraLinearLayer):  # type: ignore[misc]  # peft has no types
    """PEFT's layer with the same parameters and the same function, up to rounding."""

    @cache_decorator("weight-norm")  # type: ignore[untyped-decorator]  # peft has no types
    def norms(self, *, base_layer: Any, lora_A: Any, lora_B: Any, scaling: float, adapter_name: str) -> torch.Tensor:
        """Lengths of the adapted weight's rows, (outputs,), in fp32 whatever the pass computes in; no gradient."""
        with torch.no_grad(), torch.autocast(lora_A.weight.device.type, enabled=False):
            weight = transpose(dequantize_module_weight(base_layer), self.fan_in_fan_out)
            weight, a, b = (one.to(lora_A.weight.device).float() for one in (weight, lora_A.weight, lora_B.weight))
            own = torch.linalg.norm(weight, dim=1)
            towards = ((weight @ a.T) * b).sum(1)
            across = ((b @ (a @ a.T)) * b).sum(1)
            # As a factor of the weight's own: before the first step it is one to the bit, as PEFT's is.
            grown = 1 + (2 * scaling * towards + scaling**2 * across) / own.square()
            return own * grown.clamp_min(0).sqrt()

    def forward(
        self,
        x: torch.Tensor,
        *,
        lora_A: Any,
        lora_B: Any,
        scaling: float,
        base_layer: Any,
        base_result: torch.Tensor | None = None,
        adapter_name: str = "default",
    ) -> torch.Tensor:
        """What is added to the base layer's output, (..., outputs).

        Args:
            x: (..., inputs).
            base_result: the base layer's output for ``x``; computed from it if it is not given, as under dropout.
        """
        norms = self.norms(
            base_layer=base_layer, lora_A=lora_A, lora_B=lora_B, scaling=scaling, adapter_name=adapter_name
        )
        scale = (self.weight / norms).view(1, -1)
        if base_result is None:
            weight = transpose(dequantize_module_weight(base_layer), self.fan_in_fan_out)
            straight = torch.nn.functional.linear(x, weight.to(x.dtype))
        else:
            straight = base_result if base_layer.bias is None else base_result - base_layer.bias
        # One product, so that one tensor of the output's size is kept for the backward pass, and not two.
        found: torch.Tensor = scale * (straight + lora_B(lora_A(x)) * scaling) - straight
        return found


def factored(model: Any) -> Any:
    """The model, whose DoRA layers of linear modules compute their norms from factors from now on."""
    for module in model.modules():
        if type(module) is DoraLinearLayer:
            module.__class__ = FactoredDora
    return model


@contextmanager
def norms_kept(model: Any) -> Iterator[None]:
    """Within it a DoRA layer in evaluation mode computes its norms once. Nothing may be trained or loaded meanwhile."""
    with DoraCaching():
        try:
            yield
        finally:
            for module in model.modules():
                if isinstance(module, DoraLinearLayer):
                    module._cache_clear()
