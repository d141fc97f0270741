"""PAGE: scores by a probe of rows, on the conformance class's models."""

from __future__ import annotations

import pytest
import torch
from tests.conformance.adapter import MODELS, rows

from tunewright.domain.errors import UsageError
from tunewright.tools.models import placement
from tunewright.tools.training.method import Start
from tunewright.tools.training.page import dominant_modules, page_scores
from tunewright.tools.training.probe import summed_loss

BATCHES = rows(32)
START = Start(seed=3, rows=lambda count: BATCHES)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_a_score_is_the_energy_of_the_gradient_that_b_would_have(family: str) -> None:
    model = MODELS[family]()
    scores = page_scores(model, START)
    name = max(scores, key=lambda one: scores[one])
    weight = model.get_submodule(name).weight
    batches = START.rows(32)
    labelled = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
    sum((summed_loss(model, batch) for batch in batches), torch.zeros(())).backward()
    gradient = weight.grad / labelled
    gradient = gradient.T if family == "gpt2" else gradient
    # Averaged over draws of A with variance 1 / (3 n), at rank 8.
    expected = 8 / (3 * gradient.shape[1]) * float(gradient.square().sum())
    assert 0.4 * expected < scores[name] < 2.5 * expected


@pytest.mark.parametrize("family", sorted(MODELS))
def test_the_probe_leaves_the_model_and_chance_as_they_were(family: str) -> None:
    model = MODELS[family]().train()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    torch.manual_seed(4)
    state = torch.get_rng_state()
    first, second = page_scores(model, START), page_scores(model, START)
    assert first == second and set(first) == set(placement.linear_modules(model))
    assert torch.equal(torch.get_rng_state(), state) and model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_best_come_first_and_no_more_than_there_are() -> None:
    model = MODELS["llama"]()
    scores = page_scores(model, START)
    chosen = dominant_modules(model, START, count=3)
    assert [scores[name] for name in chosen] == sorted(scores.values(), reverse=True)[:3]
    with pytest.raises(UsageError, match="more than the 14 linear modules"):
        dominant_modules(model, START, count=15)


def test_without_rows_there_is_nothing_to_look_at() -> None:
    with pytest.raises(UsageError, match="looks at training rows"):
        dominant_modules(MODELS["llama"](), Start(), count=1)
