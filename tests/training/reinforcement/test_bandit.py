"""Every algorithm on the smallest task there is: of two words one pays, and the policy has to find out which."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS

from tunewright.tools.training.registry import objective, objectives

STEPS = 16
ONE_WORD = {"max_new_tokens": 1}
OWN: dict[str, dict[str, Any]] = {
    "dapo": {"mask_truncated": False, "dynamic": 1}  # an answer of a single word has no end
}
REINFORCED = [kind for kind in objectives() if objective(kind).family == "reinforcement"]


def trained(model: Any, learning: Any, steps: int = STEPS, lr: float = 0.03) -> Iterator[float]:
    """Trains the policy, and gives the mean reward of each step's answers."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    weights += [weight for module in learning.modules().values() for weight in module.parameters()]
    optimiser = torch.optim.Adam(weights, lr=lr)
    for step in range(steps):
        batch = learning.prepare(learning.collate([0]), step)
        optimiser.zero_grad()
        (learning.loss(batch) / learning.items(batch)).backward()
        optimiser.step()
        learning.check(step)
        yield learning.facts()["reward"]


@pytest.mark.parametrize("kind", REINFORCED)
def test_the_word_that_pays_is_found(
    make_speaker: Callable[..., Any], make_learning: Callable[..., Any], kind: str
) -> None:
    learning = make_learning(
        model := make_speaker("ab"), kind, rows=ROWS["completion"][:1], task=ONE_WORD, batch=2, steps=STEPS,
        settings={"rewards": [{"kind": "regex", "pattern": "b"}], **OWN.get(kind, {})},
    )  # fmt: skip
    found = list(trained(model, learning))
    assert 0.2 < found[0] < 0.8, "at first it does not know"
    assert statistics.fmean(found[-4:]) > 0.9


def test_nothing_is_learned_where_both_pay(make_speaker: Callable[..., Any], make_learning: Callable[..., Any]) -> None:
    model = make_speaker("ab")
    learning = make_learning(
        model, "grpo", rows=ROWS["completion"][:1], task=ONE_WORD, batch=2, steps=STEPS,
        settings={"rewards": [{"kind": "regex", "pattern": "[ab]"}]},
    )  # fmt: skip
    assert list(trained(model, learning, steps=2)) == [1.0, 1.0]
    assert not model.get_output_embeddings().weight.any()
