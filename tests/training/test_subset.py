"""A softmax over part of the vocabulary: which part, and that what comes of it is a bound."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tunewright.tools.contract import FaultError
from tunewright.tools.training import scoring, subset
from tunewright.tools.training.scoring import token_scores

ROWS = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 5.0], [-1.0, 0.0], [0.1, 0.9], [1.0, 1.0]])
SIZE = 50


def test_the_nearest_by_hand() -> None:
    """Cosines with row 0: 0.99, 0, -1, 0.11, 0.71; with row 3 their negatives; with row 2: 0.11, 0, 0.99, 0.71."""

    def found(labels: list[int], count: int) -> list[int]:
        return subset.nearest(ROWS, torch.tensor(labels), count).tolist()

    assert found([0], 0) == [0]
    assert found([0, 0], 1) == [0, 1]
    assert found([0], 2) == [0, 1, 5]
    assert found([3], 1) == [2, 3], "the length of a row does not count"
    assert found([0, 2], 2) == [0, 1, 2, 4], "near one of them is near enough"
    assert found([0], 100) == list(range(6))
    assert found([], 3) == []


def test_parts_of_the_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(500, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([3, 77, 400])
    whole = subset.nearest(rows, labels, 40)
    monkeypatch.setattr(subset, "_PRODUCTS", 64)
    assert torch.equal(subset.nearest(rows, labels, 40), whole)


@pytest.fixture(params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    if request.param == "gpt2":
        shape = GPT2Config(vocab_size=SIZE, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3)
        return GPT2LMHeadModel(shape).eval()
    config = LlamaConfig(
        vocab_size=SIZE, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.3, tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(0, SIZE, (3, 8), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def loss(model: Any, count: int | None) -> torch.Tensor:
    """Of the last four tokens of each row, over this many tokens beside the labels; None: over all."""
    given = batch()
    wanted = torch.zeros(3, 7, dtype=torch.bool)
    wanted[:, 3:] = True
    labels = given["input_ids"][:, 1:][wanted]
    within = None if count is None else subset.nearest(model.get_output_embeddings().weight, labels, count)
    return -token_scores(model, given, wanted, within=within).sum()


def test_it_rises_to_the_loss_with_the_tokens(model: Any) -> None:
    found = [float(loss(model, count).detach()) for count in (0, 2, 5, 10, 20, SIZE)]
    assert found == sorted(found) and len(set(found)) == 6
    assert found[-1] == pytest.approx(float(loss(model, None).detach()), rel=1e-6)


def test_at_all_tokens_gradients_are_those_of_the_loss(model: Any) -> None:
    loss(model, None).backward()
    whole = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    loss(model, SIZE).backward()
    for name, weight in model.named_parameters():
        assert torch.allclose(weight.grad, whole[name], rtol=1e-4, atol=1e-6), name


def test_tokens_outside_get_no_gradient_and_no_logit(model: Any) -> None:
    head = model.get_output_embeddings()
    labels = batch()["input_ids"][:, 4:].flatten()
    within = set(subset.nearest(head.weight, labels, 5).tolist())
    read = set(batch()["input_ids"].flatten().tolist()) if head.weight is model.get_input_embeddings().weight else set()
    loss(model, 5).backward()
    moved = set(head.weight.grad.abs().sum(1).nonzero().flatten().tolist())
    assert moved - read <= within and within - read <= moved


def test_chunks_change_nothing(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = float(loss(model, 10).detach())
    monkeypatch.setattr(scoring, "HEAD_ELEMENTS", 40)
    assert float(loss(model, 10).detach()) == pytest.approx(whole, rel=1e-6)


def test_an_adapted_head_is_refused(model: Any) -> None:
    subset.check_head(model)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["lm_head"]))
    with pytest.raises(FaultError, match="the adapter is on the output head too"):
        subset.check_head(adapted)


def test_a_model_that_does_something_else_with_its_logits_is_refused(model: Any) -> None:
    inner = type(model).forward

    class Odd(type(model)):  # type: ignore[misc]
        def forward(self, *args: Any, **given: Any) -> Any:
            found = inner(self, *args, **given)
            found.logits = found.logits * 3
            return found

    model.__class__ = Odd
    with pytest.raises(FaultError, match="is not known"):
        loss(model, 5)
