"""What a model's files say of it, without loading it: sizes for forecasts, modules for parameter counts.

Reads ``config.json`` and the headers of the safetensors files; no torch, so the host process stays light.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.domain.errors import ModelError
from tunewright.domain.frozen import Frozen
from tunewright.tools.models.safetensors import Tensor, read_header

# Masks and rotary tables that old checkpoints carry beside the parameters.
_BUFFER = re.compile(r"\.attn\.(masked_)?bias$|\.attention\.(masked_)?bias$|rotary_emb\.inv_freq$")
_HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output)\.weight$")
_EMBEDDING = re.compile(r"(^|\.)(embed\w*|\w*embed\w*|wte|wpe|word_embeddings)\.weight$")
_TRANSPOSED = ("gpt2",)
"""Architectures whose linear layers (Conv1D) keep their weights as (inputs, outputs)."""


class Linear(Frozen):
    """One linear module."""

    name: str
    inputs: int
    outputs: int


class Weight(Frozen):
    """One parameter of any shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class ModelFacts(Frozen):
    """The numbers that cost and memory depend on."""

    architecture: str
    parameters: int
    """Exact; tied weights counted once."""
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    max_positions: int
    tied: bool
    """Whether input and output embedding share their weights."""
    has_chat_template: bool
    conv1d: bool
    """Whether the linear modules are GPT-2's, which keep their weights as (inputs, outputs)."""
    linears: tuple[Linear, ...]
    """Every linear module but the output head, in order of name."""
    weights: tuple[Weight, ...] = ()
    """Every parameter, tied ones once, in order of name."""

    @property
    def embedding_parameters(self) -> int:
        """Of the input embedding: looked up, not multiplied."""
        return self.vocab * self.hidden

    @property
    def multiplied_parameters(self) -> int:
        """Weights every token is multiplied with in the layers; the head is counted apart, as it may run on a
        few positions only."""
        return sum(linear.inputs * linear.outputs for linear in self.linears)


def facts(path: Path) -> ModelFacts:
    """The facts of the model directory ``path``.

    Raises:
        ModelError: no readable ``config.json``, no safetensors weights, or not a language model.
    """
    config = _read_config(path)
    architecture = str((config.get("architectures") or [config.get("model_type", "unknown")])[0])
    text: dict[str, Any] = config.get("text_config") or config
    tied = bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", True)))
    tensors = _weights(path)
    if tied:
        tensors = [tensor for tensor in tensors if not _HEAD.search(tensor.name)]
    hidden = _number(text, path, "hidden_size", "n_embd", "d_model")
    heads = _number(text, path, "num_attention_heads", "n_head", "num_heads")
    transposed = text.get("model_type") in _TRANSPOSED
    return ModelFacts(
        architecture=architecture,
        parameters=sum(math.prod(tensor.shape) for tensor in tensors),
        hidden=hidden,
        layers=_number(text, path, "num_hidden_layers", "n_layer", "num_layers"),
        heads=heads,
        kv_heads=int(text.get("num_key_value_heads") or heads),
        intermediate=int(text.get("intermediate_size") or text.get("n_inner") or 4 * hidden),
        vocab=_number(text, path, "vocab_size"),
        max_positions=int(text.get("max_position_embeddings") or text.get("n_positions") or 2**31 - 1),
        tied=tied,
        has_chat_template=_has_chat_template(path),
        conv1d=transposed,
        linears=_linears(tensors, transposed=transposed),
        weights=tuple(Weight(name=tensor.name, shape=tensor.shape) for tensor in tensors),
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"'{path}' has no readable config.json: {error}", "give a model directory as transformers saves it"
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"config.json of '{path}' is no JSON object", "fetch the model again")
    return config


def _weights(path: Path) -> list[Tensor]:
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise ModelError(
            f"'{path}' has no *.safetensors weights",
            "load it once with transformers and save it again with save_pretrained",
        )
    return sorted(t for file in files for t in read_header(file) if not _BUFFER.search(t.name))


def _linears(tensors: Sequence[Tensor], *, transposed: bool) -> tuple[Linear, ...]:
    found = []
    for name, _, shape, *_ in tensors:
        if len(shape) != 2 or not name.endswith(".weight") or _HEAD.search(name) or _EMBEDDING.search(name):
            continue
        outputs, inputs = reversed(shape) if transposed else shape
        found.append(Linear(name=name.removesuffix(".weight"), inputs=inputs, outputs=outputs))
    return tuple(found)


def _number(config: dict[str, Any], path: Path, *keys: str) -> int:
    for key in keys:
        if isinstance(config.get(key), int):
            return int(config[key])
    raise ModelError(
        f"config.json of '{path}' has no {keys[0]}: this is not a causal language model that can be used here",
        "take a decoder model such as Llama, Qwen, Mistral or GPT-2",
    )


def _has_chat_template(path: Path) -> bool:
    if (path / "chat_template.jinja").exists() or (path / "chat_template.json").exists():
        return True
    try:
        config = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(isinstance(config, dict) and config.get("chat_template"))
