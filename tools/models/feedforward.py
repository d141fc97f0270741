"""Feed-forward networks that can be computed from outside: which module names make one, and in what order.

Works on names alone, so that the same table serves a loaded model and a model known only by its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """``last(activation(first(x)) * up(x))``, without ``up`` where there is none.

    Fields are the names of the parts inside the module.
    """

    first: str
    up: str | None
    last: str
    activation: str

    @property
    def gated(self) -> bool:
        """Whether it has two branches."""
        return self.up is not None


FORMS = (
    Form("gate_proj", "up_proj", "down_proj", "act_fn"),  # Llama, Qwen, Mistral, Gemma, SmolLM
    Form("c_fc", None, "c_proj", "act"),  # GPT-2, GPT-Neo
    Form("dense_h_to_4h", None, "dense_4h_to_h", "act"),  # GPT-NeoX, Pythia
    Form("fc1", None, "fc2", "activation_fn"),  # Phi
)


def feedforwards(linears: Sequence[str]) -> dict[str, Form]:
    """The networks among a model's linear modules: module name -> form, in the order given.

    A mixture's experts and layers whose projections have no module of their own are none.
    """
    parts: dict[str, set[str]] = {}
    for name in linears:
        parent, _, part = name.rpartition(".")
        if not parent.rpartition(".")[2].isdigit():
            parts.setdefault(parent, set()).add(part)
    found = {}
    for parent, names in parts.items():
        for form in FORMS:
            if parent and {form.first, form.up or form.first, form.last} <= names:
                found[parent] = form
    return found
