"""A method's card: everything its file declares, as data for ``methods --json`` and as a page of the documentation.

    python -m tunewright.tools.training.card docs/methods

writes a page for each adapter and an index. Nothing of a card is written by hand.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.models.facts import Linear, ModelFacts, Weight
from tunewright.tools.training.method import AdapterMethod, MethodConfig
from tunewright.tools.training.registry import adapter, adapters

_STAGE = "stages.0"
_LAYERS, _HIDDEN, _INTERMEDIATE, _HEADS, _KEYS, _VOCABULARY = 30, 576, 1536, 9, 192, 49152
_REFERENCE = "smollm2-135m"


def adapter_card(kind: str) -> dict[str, Any]:
    """What an adapter's file says, in JSON's types.

    Raises:
        UnknownNameError: there is no such adapter.
    """
    method = adapter(kind)
    low, high, default = method.lr
    return {
        "kind": kind,
        "names": list(method.names),
        "summary": method.summary,
        "paper": method.paper,
        "mergeable": method.mergeable,
        "exports_lora": method.exports_lora,
        "starts_as_base": method.identity,
        "searched_by_default": method.everyday,
        "placements": list(method.placements),
        "step_cost": method.step_cost,
        "activation_cost": method.activation_cost,
        "lr": {"low": low, "high": high, "default": default, "source": method.lr_source},
        "settings": settings_of(method.Config),
        "search": [_searched(one) for one in method.dimensions(_STAGE)],
        "parameters": {"model": _REFERENCE, "count": _reference_count(method)},
        "about": about(method),
    }


def settings_of(config: type[MethodConfig]) -> list[dict[str, Any]]:
    """Name, default and meaning of each setting; the meaning is the string under the field."""
    meanings = _meanings(config)
    return [
        {"name": name, "default": field.get_default(call_default_factory=True), "about": meanings.get(name, "")}
        for name, field in config.model_fields.items()
    ]


def about(method: AdapterMethod) -> str:
    """The docstring of the method's file."""
    return inspect.cleandoc(sys.modules[type(method).__module__].__doc__ or "")


def page(kind: str) -> str:
    """The card as Markdown."""
    card = adapter_card(kind)
    title, _, rest = card["about"].partition("\n")
    facts = [
        ("source", card["paper"]),
        ("also called", ", ".join(card["names"]) or "-"),
        ("merges into the weights", _yes(card["mergeable"])),
        ("exports as LoRA", _yes(card["exports_lora"])),
        ("starts as the base model", _yes(card["starts_as_base"])),
        ("searched when a brief names none", _yes(card["searched_by_default"])),
        ("placements", ", ".join(card["placements"])),
        ("a step over a forward pass", f"{card['step_cost']:g} times, as first guessed"),
        (f"trained parameters on {_REFERENCE}", _count(card["parameters"]["count"])),
        ("learning rate", f"{card['lr']['low']:g} to {card['lr']['high']:g}, default {card['lr']['default']:g}"),
        ("its source", card["lr"]["source"]),
    ]
    lines = [f"# {kind}", "", f"*{card['summary']}*", "", title, ""]
    lines += [rest.strip(), ""] if rest.strip() else []
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts), ""]
    if card["settings"]:
        lines += ["## Settings", "", "| setting | default | |", "|---|---|---|"]
        lines += [f"| `{one['name']}` | {_value(one['default'])} | {_line(one['about'])} |" for one in card["settings"]]
        lines += [""]
    lines += ["## Searched", "", "| dimension | values | default |", "|---|---|---|"]
    lines += [f"| `{one['name']}` | {one['values']} | {_value(one['default'])} |" for one in card["search"]]
    return "\n".join(lines) + "\n"


def write_pages(folder: Path) -> list[Path]:
    """A page for each adapter and ``README.md``, which lists them; pages of methods that are gone are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{kind}.md": page(kind) for kind in adapters()}
    pages["README.md"] = _index()
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


def _index() -> str:
    lines = [
        "# Adapters",
        "",
        "Every kind that a brief may name and a search may choose. A page is what the method's file in",
        "`tools/training/adapters/` declares, written by `make docs`. `tunewright methods adapters --json` says",
        "the same.",
        "",
        f"Parameters are those trained on `{_REFERENCE}` with the default settings.",
        "",
        "| kind | when | parameters | merges | LoRA export | source |",
        "|---|---|---|---|---|---|",
    ]
    for kind in adapters():
        card = adapter_card(kind)
        row = (
            f"[{kind}]({kind}.md)",
            card["summary"],
            _count(card["parameters"]["count"]),
            _yes(card["mergeable"]),
            _yes(card["exports_lora"]),
            card["paper"],
        )
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


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


def _searched(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, Choice):
        values = ", ".join(_value(option) for option in dimension.options)
    else:
        low, high = getattr(dimension, "low", None), getattr(dimension, "high", None)
        values = f"{low:g} to {high:g}" if low is not None and high is not None else dimension.kind
    return {
        "name": dimension.name,
        "path": dimension.path,
        "values": values,
        "default": dimension.default,
        "why": dimension.why,
    }


def _meanings(config: type[MethodConfig]) -> dict[str, str]:
    """Field -> the string literal under it, of the class and those it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not issubclass(cls, MethodConfig) or cls is MethodConfig:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _count(value: int | None) -> str:
    return f"{value:,}" if value is not None else "-"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, str | list | tuple | dict):
        return str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    print(f"{len(write_pages(Path(sys.argv[1])))} pages in {sys.argv[1]}")
