"""The policy as its stage began, while today's is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.conformance.adapter import LEARNING_RATES, SETTINGS, Run, llama, logits
from tests.training.objectives.test_dpo import shake
from tests.training.reinforcement.conftest import ONE_WORD, trained

from tunewright.domain.recipe import Adapter
from tunewright.tools.training.registry import adapter, adapters
from tunewright.tools.training.reinforcement.reference import Past

IDS = torch.tensor([[1, 70, 80, 90, 2], [1, 75, 76, 77, 78]])


def said(model: Any) -> torch.Tensor:
    """What the model says, without a gradient."""
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


def adapted(model: Any, *, fresh: bool = False) -> Any:
    """With a LoRA that says something already, unless it is fresh."""
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=fresh)
    return get_peft_model(model, settings).eval()


BEGINNINGS: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "fresh": (lambda model: adapted(model, fresh=True), True),
    "fresh, copied": (lambda model: adapted(model, fresh=True), False),
    "continued": (adapted, False),
    "full": (lambda model: model, False),
}
"""What the stage trains, and whether the policy of then is what is left without it."""


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("narrow", [False, True], ids=["fp32", "bf16"])
def test_it_says_what_was_said_at_first_and_today_comes_back(
    make_model: Callable[..., Any], beginning: str, narrow: bool
) -> None:
    adapt, leaves = BEGINNINGS[beginning]
    model = adapt(make_model("llama"))
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        first = said(model)
    past = Past(model, leaves=leaves)
    optimiser = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(2):
        model(input_ids=IDS).logits.square().mean().backward()
        optimiser.step()
    weights = [weight.detach().clone() for weight in model.parameters()]
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):  # one block: narrow copies of weights outlive a pass
        today = said(model)
        assert not torch.equal(today, first)
        with past():
            assert torch.equal(said(model), first)
        assert torch.equal(said(model), today)
        with past():
            assert torch.equal(said(model), first), "as often as is wanted"
            assert not model(input_ids=IDS).logits.requires_grad
        optimiser.zero_grad()
        model(input_ids=IDS).logits.square().mean().backward()
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), weights, strict=True))
    assert any(weight.grad is not None and weight.grad.any() for weight in model.parameters())


@pytest.mark.parametrize("kind", [kind for kind in adapters() if "reinforcement" in adapter(kind).families])
def test_it_is_right_with_every_adapter_that_may_be_reinforced(kind: str) -> None:
    method = adapter(kind)
    chosen = Adapter(kind=kind, placement=method.placements[0], **SETTINGS.get(kind, {}))
    run = Run(method, chosen, llama(), lr=LEARNING_RATES.get(kind, method.lr[1]), steps=4)
    run.model.eval()
    first, past = logits(run.model), Past(run.model, leaves=method.leaves("merge"))
    run.steps(0, 3)
    today = logits(run.model)
    assert not torch.allclose(today, first, atol=1e-4)
    with past():
        assert torch.allclose(logits(run.model), first, atol=2e-5)
    assert torch.equal(logits(run.model), today)


def test_today_comes_back_after_an_error(make_model: Callable[..., Any]) -> None:
    model = make_model("llama")
    past = Past(model)
    shake(model)
    today = said(model)
    with pytest.raises(KeyboardInterrupt), past():
        raise KeyboardInterrupt
    assert torch.equal(said(model), today)


def test_only_what_is_trained_is_kept_twice(make_model: Callable[..., Any]) -> None:
    model = adapted(make_model("llama"))
    past = Past(model)
    assert len(past._then) == 8  # two layers, two matrices, A and B
    assert not Past(model, leaves=True)._then


def test_divergence_is_from_where_the_stage_began(
    make_speaker: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    model = make_speaker("ab")
    settings = {"rewards": [{"kind": "regex", "pattern": "b"}], "beta": 0.01}
    learning = make_learning(model, "grpo", batch=4, task=ONE_WORD, settings=settings)
    far = []
    for _ in trained(model, learning, 8):
        far.append(learning.facts()["kl"])
        assert torch.allclose(learning.round["before"][learning.round["labels"] >= 0].exp(), torch.tensor(0.5))
    assert far[0] == pytest.approx(0, abs=1e-6) and far[-1] > 0.1
