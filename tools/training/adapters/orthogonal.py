"""LoRA with both matrices random and orthogonal to each other at the start. Datta, "Rethinking LoRA initialisation".

Of a random orthogonal ``Q`` (r, r), ``A = (X Q_odd)^T / 10`` and ``B = Y^T Q_even / 10`` with ``X`` (inputs, r/2) and
``Y`` (r/2, outputs) normal and ``Q_odd``, ``Q_even`` every other row of ``Q``; hence ``B A = 0``, yet both matrices
have a gradient from the first step. From the source, as PEFT has it: the equations; the rank must be even, and at the
start each matrix has only half of it. Ours: the range of rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.lora import Lora
from tunewright.tools.training.method import Start


class Orthogonal(Lora):
    """PEFT's orthogonal initialisation."""

    kind = "orthogonal"
    names = ("orthogonal LoRA", "orthogonal initialisation", "orthogonal initialization")
    plain_word = True
    summary = "LoRA with both matrices random from the start; both learn from the first step"
    paper = 'peft: LoraConfig(init_lora_weights="orthogonal")'
    transfers = False
    everyday = False
    flags = {"init_lora_weights": "orthogonal"}
    lr = (5e-5, 2e-3, 3e-4)
    lr_source = "ours: below LoRA's, since both matrices move the output from the first step"

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """As LoRA's.

        Raises:
            UsageError: the rank is odd.
        """
        if settings.rank % 2:
            raise UsageError(
                f"'{self.kind}' splits its rank into two halves, and {settings.rank} is odd",
                f"give a rank of {settings.rank + 1}",
            )
        return super().size(linears, settings)

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper. Its config no longer names the initialisation: what is loaded needs none."""
        made = super().build(model, adapter, start)
        made.peft_config["default"].init_lora_weights = True
        return made


METHOD = Orthogonal()
