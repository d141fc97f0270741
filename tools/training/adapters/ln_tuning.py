"""LN tuning: the gains and biases of the normalisation layers are trained, nothing else. arXiv 2312.11420.

``y = g * norm(x) + b`` with ``g``, ``b`` (hidden,) as they were trained before; RMS norms have no ``b``. A few tens of
thousands of numbers in a model of billions. From the paper (Zhao et al., on vision-language models): that this is
enough to adapt a model. PEFT trains copies of the layers, so the base stays whole. Ours: every norm of the model, the
last one and those inside attention included, and the ranges.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models import placement
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.method import Start
from tunewright.tools.training.peft_method import UnplacedMethod


class LnTuning(UnplacedMethod):
    """Trains the norms; they start as they are, so the seed decides nothing."""

    kind = "ln_tuning"
    names = ("LN tuning", "LayerNorm tuning", "layer norm tuning", "norm tuning")
    summary = "trains only the gains of the norms; the fewest parameters that every model has, for little data"
    paper = "arXiv 2312.11420"
    step_cost = 2.0
    scoring_cost = 1.0
    activation_cost = 1.4
    lr = (5e-4, 2e-2, 3e-3)
    lr_source = "ours: gains near one bear larger steps than weights"

    def config(self, settings: Any, model: Any, start: Start) -> Any:
        """PEFT's ``LNTuningConfig``."""
        from peft import LNTuningConfig

        norms = [
            name
            for name, module in model.named_modules()
            if getattr(module, "weight", None) is not None and module.weight.dim() == 1
        ]
        if not norms:
            raise _no_norms()
        everything = [name for name, _ in model.named_modules()]
        return LNTuningConfig(target_modules=placement.suffixes(norms, everything), task_type="CAUSAL_LM")

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """Gains and biases of all norms."""
        gains = [one for one in facts.weights if len(one.shape) == 1 and one.name.endswith(".weight")]
        biases = {one.name.removesuffix(".weight") + ".bias" for one in gains}
        total = sum(one.size for one in gains) + sum(one.size for one in facts.weights if one.name in biases)
        if not total:
            raise _no_norms()
        return total


def _no_norms() -> UsageError:
    return UsageError("'ln_tuning' finds no trained norm in this model", "take 'lora', which fits every model")


METHOD = LnTuning()
