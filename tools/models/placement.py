"""Where an adapter sits: a placement's name becomes a list of linear modules of the actual model.

Works on module names alone, so that the same rule serves a loaded model and a model known only by its files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tunewright.domain.errors import UsageError, unknown_name

PLACEMENTS = ("all-linear", "attention", "mlp", "qv")
"""The named ones that a search takes. There are also ``layers:A-B``, every linear module of those layers (from 0,
both included), ``page-K``, the K modules of most gradient energy, found by a probe of training rows, and
``deformable-attention``, the four linear modules of every multi-scale deformable attention (arXiv 2606.01947), as
Deformable DETR, Mask2Former and Mask DINO have it."""

_ATTENTION = re.compile(r"(^|\.)(\w*attn|\w*attention)(\.|$)")
_MLP = re.compile(r"(^|\.)(mlp|feed_forward|ffn|block_sparse_moe|experts)(\.|$)")
# Fused projections hold query and value in one matrix; an adapter cannot sit on a part of it.
_QUERY_VALUE = re.compile(r"(^|\.)(q_proj|v_proj|query|value|c_attn|query_key_value|qkv_proj|Wqkv)$")
_RANGE = re.compile(r"layers:(\d+)-(\d+)")
_PROBE = re.compile(r"page-([1-9]\d*)")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d+)\.")
_RULES = {"attention": _ATTENTION, "mlp": _MLP, "qv": _QUERY_VALUE}
_DEFORMABLE = "deformable-attention"
_DEFORMABLE_PARTS = ("sampling_offsets", "attention_weights", "value_proj", "output_proj")


def select(names: Sequence[str], placement: str) -> list[str]:
    """Those of the linear modules' names that the placement means, in the order given.

    Raises:
        UnknownNameError: no such placement.
        UsageError: the model has no such modules.
    """
    bounds = _RANGE.fullmatch(placement)
    if bounds:
        first, last = int(bounds[1]), int(bounds[2])
        chosen = [name for name in names if (at := layer_of(name)) is not None and first <= at <= last]
    elif placement in PLACEMENTS:
        rule = _RULES.get(placement)
        chosen = [name for name in names if rule is None or rule.search(name)]
    elif placement == _DEFORMABLE:
        chosen = _deformable(names)
    else:
        raise unknown_name("placement", placement, (*PLACEMENTS, _DEFORMABLE, "layers:0-11", "page-1"))
    if not chosen:
        raise UsageError(
            f"placement '{placement}' finds no linear module in this model", "use 'all-linear', which fits every model"
        )
    return chosen


def _deformable(names: Sequence[str]) -> list[str]:
    """Only beside a ``sampling_offsets``: other modules, too, call their parts ``value_proj`` and ``output_proj``."""
    parents = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2] == _DEFORMABLE_PARTS[0]}
    return [
        name for name in names if name.rpartition(".")[0] in parents and name.rpartition(".")[2] in _DEFORMABLE_PARTS
    ]


def layer_of(name: str) -> int | None:
    """The number of the layer that a module belongs to, by its name; None where it belongs to none."""
    at = _LAYER.search(name + ".")
    return int(at[1]) if at else None


def probed(placement: str) -> int | None:
    """How many modules a probe of training rows chooses, for a ``page-K`` placement; None for any other."""
    match = _PROBE.fullmatch(placement)
    return int(match[1]) if match else None


def exists(placement: str) -> bool:
    """Whether there is such a placement, for some model."""
    named = placement in (*PLACEMENTS, _DEFORMABLE)
    return named or probed(placement) is not None or _RANGE.fullmatch(placement) is not None


def matches(name: str, targets: Sequence[str]) -> bool:
    """Whether PEFT's ``target_modules`` mean the module of that name."""
    return any(name == target or name.endswith(f".{target}") for target in targets)


def suffixes(chosen: Sequence[str], names: Sequence[str]) -> list[str]:
    """The shortest name endings that mean exactly ``chosen`` among ``names``: what PEFT's config should list.

    ``q_proj`` where that is enough, ``attn.c_proj`` where ``c_proj`` also names another layer, full names at worst.
    """
    rest = sorted(set(names) - set(chosen))
    found: set[str] = set()
    for name in chosen:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            ending = ".".join(parts[-length:])
            if not any(other == ending or other.endswith("." + ending) for other in rest):
                found.add(ending)
                break
    return sorted(found)


def linear_modules(model: Any) -> list[str]:
    """Names of a loaded model's linear modules but for the output head, which TRL cannot train adapters on."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]


def target_modules(model: Any, placement: str) -> list[str]:
    """PEFT's ``target_modules`` for a placement, from the model's actual module tree.

    Raises:
        UnknownNameError: no such placement.
        UsageError: the model has no such modules.
    """
    names = linear_modules(model)
    everything = [name for name, _ in model.named_modules()]
    return suffixes(select(names, placement), everything)
