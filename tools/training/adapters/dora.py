"""DoRA: LoRA for the direction of each weight column, a trained vector for its length. Liu et al., arXiv 2402.09353.

``m * (W + s B A) / ||W + s B A||`` with ``m`` (outputs,) starting at the norms of ``W``, so that the function is
unchanged at first. Often ahead of LoRA at low rank; each step costs more, since the norms are computed anew.
"""

from __future__ import annotations

from tunewright.tools.models.facts import Linear
from tunewright.tools.training.adapters.lora import Lora


class Dora(Lora):
    """LoRA with the weights' lengths trained apart."""

    kind = "dora"
    summary = "LoRA with direction and length of the weights apart; better at low rank, slower"
    paper = "arXiv 2402.09353"
    transfers = False
    exports_lora = False
    reads_weights = True
    step_cost = 3.2
    activation_cost = 2.5
    kept_share = 0.9
    flags = {"use_dora": True}

    def extra(self, linear: Linear) -> int:
        """One length for each output."""
        return linear.outputs


METHOD = Dora()
