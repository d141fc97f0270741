"""What a card tells of one shelf's methods and of no other's: facts beside names, settings and search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.facts import Linear, ModelFacts, Weight
from tunewright.tools.training.method import AdapterMethod, ObjectiveMethod
from tunewright.tools.training.reward import RewardMethod

REFERENCE = "smollm2-135m"
_LAYERS, _HIDDEN, _INTERMEDIATE, _HEADS, _KEYS, _VOCABULARY = 30, 576, 1536, 9, 192, 49152


@dataclass(frozen=True)
class Fact:
    """One of them, for programs and for people."""

    key: str
    """Its name in JSON."""
    value: Any
    """In JSON's types."""
    title: str = ""
    """What it is on the page; empty for what is not there."""
    shown: str = ""
    """The value on the page."""
    column: str = ""
    """Its title in the list of the shelf; empty for what is not listed."""


def facts(method: Any) -> list[Fact]:
    """What is to be told of a method beyond what every shelf has; nothing for most shelves."""
    if isinstance(method, AdapterMethod):
        return _of_adapter(method)
    if isinstance(method, ObjectiveMethod):
        return _of_objective(method)
    return _of_reward(method) if isinstance(method, RewardMethod) else []


def _of_adapter(method: AdapterMethod) -> list[Fact]:
    low, high, default = method.lr
    count = _reference_count(method)
    return [
        Fact(
            "parameters",
            {"model": REFERENCE, "count": count},
            f"trained parameters on {REFERENCE}",
            "-" if count is None else f"{count:,}",
            column="parameters",
        ),
        _flag("mergeable", method.mergeable, "merges into the weights", column="merges"),
        _flag("exports_lora", method.exports_lora, "exports as LoRA", column="LoRA export"),
        _flag("starts_as_base", method.identity, "starts as the base model"),
        _flag("searched_by_default", method.everyday, "searched when a brief names none"),
        Fact("placements", list(method.placements), "placements", ", ".join(method.placements)),
        Fact("step_cost", method.step_cost, "a step over a forward pass", _times(method.step_cost)),
        Fact("scoring_cost", method.scoring_cost, "scoring over the base model's", _times(method.scoring_cost)),
        Fact("activation_cost", method.activation_cost),
        Fact(
            "lr",
            {"low": low, "high": high, "default": default, "source": method.lr_source},
            "learning rate",
            f"{low:g} to {high:g}, default {default:g}: {method.lr_source}",
        ),
    ]


def _of_objective(method: ObjectiveMethod) -> list[Fact]:
    scale = f"{method.lr_scale:g} times the adapter's{': ' + method.lr_source if method.lr_source else ''}"
    return [
        Fact("family", method.family, "learns from", _FAMILIES[method.family], column="family"),
        Fact("formats", list(method.formats), "formats of rows", ", ".join(method.formats)),
        Fact("lr_scale", method.lr_scale, "learning rate", scale),
        Fact("step_cost", method.step_cost, "a step over a supervised one", _times(method.step_cost)),
        Fact("activation_cost", method.activation_cost),
    ]


_FAMILIES = {
    "supervised": "given answers",
    "preference": "better and worse answers",
    "reward": "better and worse answers, without a policy",
    "reinforcement": "rewards",
}


def _of_reward(method: RewardMethod) -> list[Fact]:
    bounds = [value if math.isfinite(value) else None for value in method.span]
    low, high = ("no bound" if value is None else f"{value:g}" for value in bounds)
    return [
        Fact("span", bounds, "values", f"{low} to {high}", column="values"),
        _flag("apart", method.apart, "runs in a process of its own"),
    ]


def _flag(key: str, value: bool, title: str, column: str = "") -> Fact:
    return Fact(key, value, title, "yes" if value else "no", column)


def _times(cost: float) -> str:
    return f"{cost:g} times, as first guessed"


def _reference_count(method: AdapterMethod) -> int | None:
    """Trained parameters on a model of smollm2-135m's sizes with default settings; None if it does not fit."""
    try:
        return method.trainable_parameters(_reference(), Adapter(kind=method.kind, placement=method.placements[0]))
    except UsageError:
        return None


def _reference() -> ModelFacts:
    sizes = {
        "self_attn.q_proj": (_HIDDEN, _HIDDEN),
        "self_attn.k_proj": (_HIDDEN, _KEYS),
        "self_attn.v_proj": (_HIDDEN, _KEYS),
        "self_attn.o_proj": (_HIDDEN, _HIDDEN),
        "mlp.gate_proj": (_HIDDEN, _INTERMEDIATE),
        "mlp.up_proj": (_HIDDEN, _INTERMEDIATE),
        "mlp.down_proj": (_INTERMEDIATE, _HIDDEN),
    }
    linears = tuple(
        Linear(name=f"model.layers.{layer}.{name}", inputs=inputs, outputs=outputs)
        for layer in range(_LAYERS)
        for name, (inputs, outputs) in sizes.items()
    )
    norms = [f"model.layers.{i}.{name}" for i in range(_LAYERS) for name in ("input_layernorm", "post_attention_norm")]
    weights = (
        Weight(name="model.embed_tokens.weight", shape=(_VOCABULARY, _HIDDEN)),
        *(Weight(name=f"{linear.name}.weight", shape=(linear.outputs, linear.inputs)) for linear in linears),
        *(Weight(name=f"{name}.weight", shape=(_HIDDEN,)) for name in (*norms, "model.norm")),
    )
    return ModelFacts(
        architecture="LlamaForCausalLM",
        parameters=sum(weight.size for weight in weights),
        hidden=_HIDDEN,
        layers=_LAYERS,
        heads=_HEADS,
        kv_heads=_KEYS * _HEADS // _HIDDEN,
        intermediate=_INTERMEDIATE,
        vocab=_VOCABULARY,
        max_positions=8192,
        tied=True,
        has_chat_template=True,
        conv1d=False,
        linears=linears,
        weights=weights,
    )
