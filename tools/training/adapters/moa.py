"""MoA: each token mixes the activations of the MLP anew; a few gate vectors a layer. Wang et al., arXiv 2605.26647.

    gated MLP     ``W3 [(act(y) + sum_k c_k(x) s_k(y)) * (z + sum_k e_k(x) s_k(z))]``,  ``y = W1 x``, ``z = W2 x``
    plain MLP     ``W2 [act(y) + sum_k c_k(x) s_k(y)]``
    gates         ``c_k(x) = tanh(u_k x / 2)``, ``e_k(x) = tanh(v_k x / 2)``; ``u``, ``v`` (activations, inputs)

``moa`` mixes the activated branch, ``bi_moa`` both, ``la`` the activated one with coefficients that no token changes.
The full dictionary ``s`` is identity, ReLU, its square, leaky ReLU, GELU, SiLU and tanh; the small one ReLU, its
square and tanh.

From the paper: the mixtures of one and of two branches, their input-independent control (LA), the dictionary, gates
by a vector product with the MLP's input. Its gates are sigmoids and replace the activation: it pre-trains from
scratch. Ours, for fine-tuning: ``2 sigmoid - 1 = tanh(. / 2)`` beside the activation that is there, so that ``u = v =
0`` leaves the function as it is while every gate has a gradient; the small dictionary; the learning rates (the paper
says no more than that MoA bears 1.5 to 2 times the usual). Nothing was read on fine-tuning with it.

Traps: the square of ReLU outgrows narrow types, so the mixture is computed in fp32 and clipped to the type's range. A
network that has the parts of a known form and computes something else is refused when it is built. Without a new
weight matrix it learns less than LoRA, with tens of parameters for each of LoRA's hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models import placement
from tunewright.tools.models.facts import Linear, ModelFacts
from tunewright.tools.models.feedforward import FORMS, Form, feedforwards
from tunewright.tools.training.method import MethodConfig, Start
from tunewright.tools.training.peft_method import PeftMethod

_SIZES = {"small": 3, "full": 7}
_FORM_OF = {form.first: form for form in FORMS}


class MoaSettings(MethodConfig):
    """Settings of MoA."""

    variant: Literal["la", "moa", "bi_moa"] = "moa"
    """``bi_moa`` needs an MLP with two branches, as Llama's; GPT-2's has one."""
    dictionary: Literal["small", "full"] = "full"
    """Which activations are mixed."""


class Moa(PeftMethod):
    """A token-adaptive mixture of activations."""

    kind = "moa"
    names = ("MoA", "Mixture of Activations", "bi-MoA")
    summary = "mixes the MLP's activations anew for each token; very few parameters, never merged"
    paper = "arXiv 2605.26647"
    Config: type[MethodConfig] = MoaSettings
    placements = ("all-linear",)
    mergeable = False
    fits_conv1d = True
    lr = (1e-4, 1e-2, 2e-3)
    lr_source = "arXiv 2605.26647 bears 1.5 to 2 times the usual; the range is ours"
    step_cost = 2.7
    activation_cost = 1.3

    def own_dimensions(self, stage: str, *, max_rank: int | None) -> list[Dimension]:
        """Variant and dictionary."""
        return [
            Choice(
                name="variant.moa",
                path=f"{stage}.adapter.variant",
                options=("la", "moa", "bi_moa"),
                default="moa",
                why="bi_moa is the paper's best, where the MLP is gated",
            ),
            Choice(
                name="dictionary.moa", path=f"{stage}.adapter.dictionary", options=("small", "full"), default="full"
            ),
        ]

    def config(self, settings: Any, targets: list[str], model: Any, start: Start) -> Any:
        """The tuner's config."""
        from tunewright.tools.models.tuners.moa import Config

        return Config(
            variant=settings.variant, dictionary=settings.dictionary, target_modules=targets, task_type="CAUSAL_LM"
        )

    def size(self, linears: Sequence[Linear], settings: Any) -> int:
        """Activations times inputs for each mixed branch; activations alone for ``la``.

        Args:
            linears: the first projection of each MLP.
        """
        forms = [_FORM_OF[linear.name.rpartition(".")[2]] for linear in linears]
        if settings.variant == "bi_moa" and not all(form.gated for form in forms):
            raise UsageError(
                "'moa' with the variant 'bi_moa' needs an MLP with two branches, and this model's has one",
                "take the variant 'moa' or 'la'",
            )
        inputs = len(linears) if settings.variant == "la" else sum(linear.inputs for linear in linears)
        return _SIZES[settings.dictionary] * inputs * (2 if settings.variant == "bi_moa" else 1)

    def targets(self, model: Any, adapter: Adapter, start: Start) -> list[str]:
        """The MLPs within the placement."""
        everything = [name for name, _ in model.named_modules()]
        placed = placement.select(placement.linear_modules(model), adapter.placement)
        return placement.suffixes(list(_networks(placed)), everything)

    def linears(self, facts: ModelFacts, adapter: Adapter) -> list[Linear]:
        """The first projection of each."""
        placed = super().linears(facts, adapter)
        firsts = {f"{name}.{form.first}" for name, form in _networks([linear.name for linear in placed]).items()}
        return [linear for linear in placed if linear.name in firsts]


def _networks(names: Sequence[str]) -> dict[str, Form]:
    found = feedforwards(names)
    if not found:
        known = ", ".join(f"{form.first} and {form.last}" for form in FORMS)
        raise UsageError(
            f"'moa' finds no MLP of a form it knows in this model (it knows those of {known})",
            "take 'lora', which fits every model",
        )
    return found


METHOD = Moa()
