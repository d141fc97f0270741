"""The optimisers there are. All but AdamW are there to need less memory for what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tunewright.tools.contract import FaultError


def optimiser_of(kind: str, groups: Sequence[dict[str, Any]], lr: float) -> Any:
    """The optimiser over groups of weights, each with its rate and its weight decay.

    ``adamw``: Loshchilov and Hutter, arXiv 1711.05101. ``adamw8bit``: its moments in blocks of 8 bits, Dettmers et
    al., arXiv 2110.02861, by bitsandbytes. ``adafactor``: Shazeer and Stern, arXiv 1804.04235, by transformers, with
    the recipe's own rates: neither the paper's relative step nor its scaling by a weight's size, under which what
    begins at zero, as half of a LoRA does, would not move.

    Raises:
        FaultError: ``config``: there is no bitsandbytes.
    """
    if kind == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(groups, lr=lr, scale_parameter=False, relative_step=False, warmup_init=False)
    if kind == "adamw8bit":
        try:
            import bitsandbytes
        except ImportError as error:
            raise FaultError("config", "the optimiser adamw8bit needs bitsandbytes, which is not installed", 0) from (
                error
            )
        return bitsandbytes.optim.AdamW8bit(groups, lr=lr)
    return torch.optim.AdamW(groups, lr=lr, fused=True)
