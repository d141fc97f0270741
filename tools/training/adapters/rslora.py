"""rsLoRA: LoRA scaled by ``alpha / sqrt(r)``, so that a high rank still learns. Kalajdzievski, arXiv 2312.03732.

At the same alpha the update is ``sqrt(r)`` times LoRA's, hence the lower learning rates.
"""

from __future__ import annotations

from tunewright.tools.training.adapters.lora import Lora


class Rslora(Lora):
    """LoRA with a scale that is stable in the rank."""

    kind = "rslora"
    names = ("rsLoRA", "rank-stabilized LoRA", "rank-stabilised LoRA")
    summary = "LoRA with a scale that is stable in the rank; for ranks of 32 and more"
    paper = "arXiv 2312.03732"
    flags = {"use_rslora": True}
    lr = (5e-5, 1.5e-3, 2e-4)


METHOD = Rslora()
