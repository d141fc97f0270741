"""The tiny model, made once, and a GPT-2 of another shape for what must not depend on Llama's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.models.resolve import Found, resolve


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny(cache: Path) -> Found:
    return resolve("tiny", cache=cache)


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("gpt2")
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=32, n_embd=16, n_layer=2, n_head=2)).save_pretrained(folder)
    return folder


@pytest.fixture
def task() -> TaskSpec:
    return TaskSpec(
        model="tiny",
        sources=(DataSource(path="a.jsonl", name="a"),),
        format="label",
        input_field="text",
        target_field="label",
        metric=Metric(name="accuracy"),
        labels=("no", "perhaps", "yes"),
        prompt="Q: {input}\nA:",
    )
