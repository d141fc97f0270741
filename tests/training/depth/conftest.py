"""Models of several layers, as small as ``tiny``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewright.tools.models.resolve import Found

LAYERS = 6


def small_model(kind: str, layers: int = LAYERS, seed: int = 0) -> Any:
    """A model of random weights over the bytes of ``tiny``; ``kind`` is its model type."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    if kind == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=260, n_embd=32, n_layer=layers, n_head=4, n_positions=512)).eval()
    shape = {
        "vocab_size": 260, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": layers, "max_position_embeddings": 1024, "head_dim": 8,
    }  # fmt: skip
    if kind == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**shape)).eval()
    return LlamaForCausalLM(LlamaConfig(**shape)).eval()


@pytest.fixture(scope="session")
def deep(tiny: Found, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a Llama of six layers."""
    return saved(small_model("llama"), tiny, tmp_path_factory.mktemp("deep") / "model")


@pytest.fixture(scope="session")
def deep_gpt2(tiny: Found, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a GPT-2 of six layers."""
    return saved(small_model("gpt2"), tiny, tmp_path_factory.mktemp("gpt2") / "model")


def saved(model: Any, tiny: Found, folder: Path) -> Path:
    """The model's directory, with the tokenizer of ``tiny``."""
    model.save_pretrained(folder)
    for file in tiny.path.glob("*token*"):
        shutil.copy(file, folder)
    return folder


@pytest.fixture
def deep_job(make_job: Callable[..., Any], deep: Path) -> Callable[..., Any]:
    """``make_job`` with the model of six layers."""
    return lambda name, *stages, **given: replace(make_job(name, *stages, **given), model=deep)


def stage(depth: dict[str, Any] | None = None, adapter: dict[str, Any] | None = None, **optimisation: Any) -> Any:
    """A stage as JSON, at a rate at which every step shows."""
    given = {"lr": 3e-3, "batch_size": 4, "steps": 12, "precision": "fp32", **optimisation}
    return {"adapter": adapter or {"kind": "lora", "rank": 4}, "optimisation": given, "depth": depth or {}}
