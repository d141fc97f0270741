"""Every algorithm on the smallest task there is: of two words one pays, and the policy has to find out which."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
from tests.conformance.objective_case import ROWS
from tests.training.reinforcement.conftest import ONE_WORD, trained

from tunewright.tools.training.registry import objective, objectives

STEPS = 16
OWN: dict[str, dict[str, Any]] = {
    "dapo": {"mask_truncated": False, "dynamic": 1}  # an answer of a single word has no end
}
REINFORCED = [kind for kind in objectives() if objective(kind).family == "reinforcement"]


@pytest.mark.parametrize("kind", REINFORCED)
def test_the_word_that_pays_is_found(
    make_speaker: Callable[..., Any], make_learning: Callable[..., Any], kind: str
) -> None:
    learning = make_learning(
        model := make_speaker("ab"), kind, rows=ROWS["completion"][:1], task=ONE_WORD, batch=2, steps=STEPS,
        settings={"rewards": [{"kind": "regex", "pattern": "b"}], **OWN.get(kind, {})},
    )  # fmt: skip
    found = list(trained(model, learning, STEPS))
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
