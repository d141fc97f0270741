"""Small models over the tiny tokenizer's vocabulary, and stages of rows for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS, WORDS
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tunewright.domain.recipe import Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.batch import StageData, stage_data
from tunewright.tools.training.learning import Begin, Learning
from tunewright.tools.training.registry import objective

FAMILIES = ("gpt2", "llama")


@pytest.fixture(scope="session")
def tokenizer(tiny: Found) -> Any:
    return load_model(tiny.path, device="cpu")[1]


@pytest.fixture
def make_model(tokenizer: Any) -> Callable[[str], PreTrainedModel]:
    """A fresh model of two layers, the same each time, in evaluation mode."""

    def make(family: str) -> PreTrainedModel:
        torch.manual_seed(7)
        size = len(tokenizer)
        if family == "gpt2":
            shape = GPT2Config(
                vocab_size=size, n_positions=256, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2,
                resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            )  # fmt: skip
            return GPT2LMHeadModel(shape).eval()
        config = LlamaConfig(
            vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.2,
        )  # fmt: skip
        return LlamaForCausalLM(config).eval()

    return make


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest, make_model: Callable[[str], PreTrainedModel]) -> PreTrainedModel:
    return make_model(request.param)


@pytest.fixture
def make_data(tokenizer: Any) -> Callable[..., StageData]:
    """A stage's data for an objective, as a trial lays it out."""

    def make(
        kind: str = "sft",
        rows: Sequence[Mapping[str, Any]] = (),
        form: str = "completion",
        batch: int = 4,
        steps: int = 6,
        task: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> StageData:
        usual = {
            "model": "tiny",
            "sources": (DataSource(path="a.jsonl", name="a"),),
            "format": form,
            "input_field": "input",
            "target_field": "target",
            "metric": Metric(name="exact_match"),
            "labels": tuple(sorted(WORDS)) if form == "label" else (),
            "max_length": 160,
            "max_new_tokens": 8,
        }
        about = TaskSpec.model_validate({**usual, **(task or {})})
        stage = Stage.model_validate(
            {
                "objective": {"kind": kind, **settings},
                "optimisation": {"lr": 1e-3, "batch_size": batch, "steps": steps},
            }
        )
        return stage_data(list(rows or ROWS[form]), about, stage, 0, 1, tokenizer)  # type: ignore[arg-type]  # plain dicts

    return make


@pytest.fixture
def make_learning(make_data: Callable[..., StageData]) -> Callable[..., Learning]:
    """What an objective does in a stage with this model."""

    def make(
        model: Any, kind: str = "sft", *, begin: Mapping[str, Any] | None = None, settings: Any = None, **data: Any
    ) -> Learning:
        laid = make_data(kind, **data, **(settings or {}))
        chosen = Stage.model_validate(
            {"objective": {"kind": kind, **(settings or {})}, "optimisation": {"lr": 1e-3, "steps": 1}}
        ).objective
        start = Begin(laid, **{"seed": 1, "steps": laid.steps, **(begin or {})})
        return objective(kind).learning(model, chosen, start)

    return make


def mean(learning: Learning, places: Sequence[int], step: int = 0) -> torch.Tensor:
    """The loss that a step minimises."""
    batch = learning.prepare(learning.collate(places), step)
    loss: torch.Tensor = learning.loss(batch) / learning.items(batch)
    return loss


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of every weight that the loss depends on; the model's own are cleared."""
    model.zero_grad()
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


def close(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], tolerance: float = 1e-5) -> bool:
    """Whether two sets of gradients agree but for rounding."""
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], atol=tolerance, rtol=1e-3) for name in one
    )
