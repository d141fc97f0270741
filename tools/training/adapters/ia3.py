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
from tunewright.tools.models import placement
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.training.method import Start
from tunewright.tools.training.peft_method import PeftMethod, transposed

# A fused projection is scaled whole, as PEFT does for GPT-2.
_KEY_VALUE = re.compile(r"(^|\.)(k_proj|v_proj|key|value|c_attn|query_key_value|qkv_proj|Wqkv)$")
_HIDDEN = re.compile(r"(^|\.)(down_proj|fc2|mlp\.c_proj|dense_4h_to_h|w2)$")


class Ia3(PeftMethod):
    """Scales activations and adds no matrices; every factor starts at one, so the seed decides nothing."""

    kind = "ia3"
    names = ("(IA)^3",)
    summary = "scales keys, values and MLP units; the smallest adapter, for little data"
    paper = "arXiv 2205.05638"
    transfers = True
    everyday = True
    fits_conv1d = True
    step_cost = 2.3
    activation_cost = 1.1
    lr = (1e-3, 3e-2, 5e-3)
    lr_source = "arXiv 2205.05638 trains at 3e-3"

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """PEFT's ``IA3Config``."""
        from peft import IA3Config

        everything = [name for name, _ in model.named_modules()]
        sat_on = [name for name in placement.linear_modules(model) if placement.matches(name, targets)]
        hidden = [name for name in sat_on if _HIDDEN.search(name)]
        return IA3Config(
            target_modules=targets,
            feedforward_modules=placement.suffixes(hidden, everything),
            fan_in_fan_out=transposed(model),
            task_type="CAUSAL_LM",
        )

    def targets(self, model: Any, adapter: Adapter, start: Start) -> list[str]:
        """Of the placement's modules those that it scales."""
        everything = [name for name, _ in model.named_modules()]
        placed = placement.select(placement.linear_modules(model), adapter.placement)
        return placement.suffixes(_scaled(placed), everything)

    def linears(self, facts: ModelFacts, adapter: Adapter) -> list[Linear]:
        """Likewise."""
        placed = super().linears(facts, adapter)
        scaled = set(_scaled([linear.name for linear in placed]))
        return [linear for linear in placed if linear.name in scaled]

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """The inputs of the MLP's last layer, the outputs of keys and values."""
        return sum(linear.inputs if _HIDDEN.search(linear.name) else linear.outputs for linear in linears)


def _scaled(names: Sequence[str]) -> list[str]:
    chosen = [name for name in names if _KEY_VALUE.search(name) or _HIDDEN.search(name)]
    if not chosen:
        raise UsageError("'ia3' finds neither keys and values nor an MLP in this model", "take 'lora', which fits")
    return chosen


METHOD = Ia3()
