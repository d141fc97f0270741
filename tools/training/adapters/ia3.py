"""(IA)3: a trained factor for each key, each value and each hidden unit of the MLP. Liu et al., arXiv 2205.05638.

Thousands of parameters instead of hundreds of thousands, hence high learning rates. The placement narrows it:
``attention`` keeps keys and values, ``mlp`` the hidden units, ``qv`` the values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Dimension, Float
from tunewright.tools.models import placement
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.method import MethodConfig

# A fused projection is scaled whole, as PEFT does for GPT-2.
_KEY_VALUE = re.compile(r"(^|\.)(k_proj|v_proj|key|value|c_attn|query_key_value|qkv_proj|Wqkv)$")
_HIDDEN = re.compile(r"(^|\.)(down_proj|fc2|mlp\.c_proj|dense_4h_to_h|w2)$")


class Ia3Settings(MethodConfig):
    """It has no settings."""


class Ia3:
    """Scales activations and adds no matrices."""

    kind = "ia3"
    summary = "scales keys, values and MLP units; the smallest adapter, for little data"
    paper = "arXiv 2205.05638"
    Config: type[MethodConfig] = Ia3Settings
    placements: tuple[str, ...] = placement.PLACEMENTS
    mergeable = True
    exports_lora = False
    reads_weights = False
    step_cost = 2.3
    activation_cost = 1.1

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """Its learning rate; it has no rank."""
        return [
            Float(
                name="lr.ia3",
                path=f"{stage}.optimisation.lr",
                low=1e-3,
                high=3e-2,
                log=True,
                default=5e-3,
                why="arXiv 2205.05638 trains at 3e-3",
            )
        ]

    def build(self, model: Any, adapter: Adapter, seed: int) -> Any:
        """The model in PEFT's wrapper. Every factor starts at one, so the seed decides nothing."""
        from peft import IA3Config, get_peft_model
        from transformers.pytorch_utils import Conv1D

        names = placement.linear_modules(model)
        chosen, hidden = _chosen(names, adapter.placement)
        everything = [name for name, _ in model.named_modules()]
        config = IA3Config(
            target_modules=placement.suffixes(chosen, everything),
            feedforward_modules=placement.suffixes(hidden, everything),
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, config)

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """The inputs of the MLP's last layer, the outputs of keys and values."""
        chosen, hidden = _chosen([linear.name for linear in facts.linears], adapter.placement)
        inputs, wanted = set(hidden), set(chosen)
        return sum(
            linear.inputs if linear.name in inputs else linear.outputs
            for linear in facts.linears
            if linear.name in wanted
        )


def _chosen(names: Sequence[str], where: str) -> tuple[list[str], list[str]]:
    """(modules that are scaled, those of them that are scaled at their input)."""
    placed = placement.select(names, where)
    hidden = [name for name in placed if _HIDDEN.search(name)]
    chosen = [name for name in placed if _KEY_VALUE.search(name) or name in hidden]
    if not chosen:
        raise UsageError("'ia3' finds neither keys and values nor an MLP in this model", "take 'lora', which fits")
    return chosen, hidden


METHOD = Ia3()
