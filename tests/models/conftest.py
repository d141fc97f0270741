"""A GPT-2 of another shape than the tiny model, for what must not depend on Llama's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.domain.task import DataSource, Metric, TaskSpec


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
