"""Features against the model's own hidden states, and what standardising may and may not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.tools.models.load import load_model
from tunewright.tools.models.prompt import encode_example
from tunewright.tools.models.resolve import Found
from tunewright.tools.preference.candidate import Candidates
from tunewright.tools.preference.features import hidden_features, standardised
from tunewright.tools.preference.options import Pooling
from tunewright.tools.preference.sampling import sample
from tunewright.tools.preference.template import task_of

CANDIDATES = [
    Candidates(prompt="Say hello", answers=("hello there, and welcome", "no")),
    Candidates(prompt="Two plus two is what, if I may ask?", answers=("four", "five", "a few")),
]
TASK = task_of("tiny", "c.jsonl", template="plain", max_new_tokens=8)


@pytest.fixture(scope="module")
def loaded(tiny: Found) -> tuple[Any, Any]:
    return load_model(Path(tiny.path), device="cpu")


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_features_are_the_states_that_the_head_sees(loaded: tuple[Any, Any], pooling: Pooling) -> None:
    import torch

    model, tokenizer = loaded
    found = hidden_features(model, tokenizer, CANDIDATES, TASK, pooling=pooling)
    place = 0
    for one in CANDIDATES:
        for answer in one.answers:
            ids, labels = encode_example({"input": one.prompt, "target": answer}, TASK, tokenizer)
            with torch.no_grad():
                states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0].double().numpy()
            wanted = states[np.array(labels) != -100].mean(0) if pooling == "mean" else states[-1]
            assert found[place] == pytest.approx(wanted, abs=1e-5)
            place += 1
    assert found.shape == (5, model.config.hidden_size)


def test_the_model_is_left_as_it_was(loaded: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = loaded
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(ids).logits
        hidden_features(model, tokenizer, CANDIDATES, TASK)
        assert torch.equal(model(ids).logits, before)


def test_a_difference_has_about_the_length_one_and_common_parts_are_out() -> None:
    chance = np.random.default_rng(0)
    raw = chance.standard_normal((400, 30)) * 10.0 ** chance.uniform(-3, 3, 30)
    answers = [4] * 100
    features = standardised(raw, answers)
    shifted = standardised(raw + np.repeat(chance.standard_normal((100, 30)) * 50, 4, axis=0), answers)
    assert shifted == pytest.approx(features, abs=1e-6)
    pairs = features[::4] - features[1::4]
    assert np.square(pairs).sum(1).mean() == pytest.approx(4 / 3, rel=0.1)
    assert features.std(0) == pytest.approx(np.full(30, features.std()), rel=1e-6)


def test_projecting_keeps_lengths_nearly() -> None:
    raw = np.random.default_rng(1).standard_normal((60, 500))
    features, projected = standardised(raw, [2] * 30), standardised(raw, [2] * 30, dimensions=100)
    assert projected.shape == (60, 100)
    before, after = (np.linalg.norm(one[::2] - one[1::2], axis=1) for one in (features, projected))
    assert after / before == pytest.approx(np.ones(30), abs=0.35)
    assert np.array_equal(projected, standardised(raw, [2] * 30, dimensions=100))
    assert not np.array_equal(projected, standardised(raw, [2] * 30, dimensions=100, seed=1))


def test_answers_that_look_the_same_have_no_features() -> None:
    features = standardised(np.repeat(np.eye(3), 2, axis=0), [2, 2, 2])
    assert features.shape == (6, 1) and not features.any()


def test_answers_are_drawn_by_seed_and_differ(loaded: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = loaded
    prompts = [Candidates(prompt="Say hello"), Candidates(prompt="What?")]
    state = torch.random.get_rng_state()
    first, again, other = (
        sample(model, tokenizer, prompts, TASK, count=3, temperature=1.0, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first == again != other
    assert all(len(one.answers) > 1 and one.prompt for one in first)
    greedy = sample(model, tokenizer, prompts, TASK, count=3, temperature=1e-4, seed=1)
    assert all(len(one.answers) <= 1 for one in greedy)
