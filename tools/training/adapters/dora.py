"""DoRA: LoRA for the direction of each weight column, a trained vector for its length. Liu et al., arXiv 2402.09353.

``m * (W + s B A) / ||W + s B A||`` with ``m`` (outputs,) starting at the norms of ``W``, so that the function is
unchanged at first. Often ahead of LoRA at low rank; each step costs more, since the norms are computed anew. They are
computed from the factors (``tools/models/dora.py``), in less time and memory than in PEFT's own layer.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Adapter
from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.lora import Lora
from tunewright.tools.training.method import Start


class Dora(Lora):
    """LoRA with the weights' lengths trained apart."""

    kind = "dora"
    summary = "LoRA with direction and length of the weights apart; better at low rank, slower"
    paper = "arXiv 2402.09353"
    transfers = False
    exports_lora = False
    reads_weights = True
    step_cost = 3.5
    scoring_cost = 2.2
    activation_cost = 2.1
    kept_share = 0.9
    flags = {"use_dora": True}

    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model in PEFT's wrapper, its norms computed from the update's factors."""
        wrapper = super().build(model, adapter, start)
        from tunewright.tools.models.dora import factored

        return factored(wrapper)

    def extra(self, linear: Linear) -> int:
        """One length for each output."""
        return linear.outputs


METHOD = Dora()
