"""DoReMi's update by hand and by its invariants, and its step against plain code."""

from __future__ import annotations

import math

import pytest
import torch
from tests.training.chosen import mixing
from tests.training.planted import mixed

from tunewright.tools.models.resolve import Found
from tunewright.tools.training.mixes.doremi import METHOD, _followed, _references, updated
from tunewright.tools.training.proxy import proxy


def test_an_update_by_hand() -> None:
    found = updated((0.5, 0.5), (math.log(3), 0.0), 1.0, 0.0)
    assert found == pytest.approx((0.75, 0.25))
    smoothed = updated((0.5, 0.5), (math.log(3), 0.0), 1.0, 0.2)
    assert smoothed == pytest.approx((0.8 * 0.75 + 0.1, 0.8 * 0.25 + 0.1))
    assert updated((0.2, 0.8), (1.0, 1.0), 3.0, 0.0) == pytest.approx((0.2, 0.8)), "equal excess changes nothing"
    assert updated((0.5, 0.5, 0.0), (1.0, 0.0, 9.0), 1.0, 0.3)[2] == 0, "what has no rows gets none"


def test_weights_are_on_the_simplex_and_follow_excess() -> None:
    p = (1 / 3, 1 / 3, 1 / 3)
    for excess in ((0.1, 0.5, 2.0), (0.0, 0.0, 9.0), (3.0, 1.0, 0.0)):
        moved = updated(p, excess, 1.0, 1e-3)
        assert sum(moved) == pytest.approx(1) and min(moved) >= 1e-3 / 3
        assert sorted(range(3), key=lambda j: moved[j]) == sorted(range(3), key=lambda j: excess[j])


def test_a_step_is_what_plain_code_says(tiny: Found) -> None:
    rows = mixed(clean=4, noise=4)
    given = mixing(tiny, rows, "doremi", eta=2.0)
    places = [0, 5, 1]  # no noise: its last excess is kept
    ids = [torch.tensor([given.encoded[place].input_ids]) for place in places]
    labels = [torch.tensor([given.encoded[place].labels]) for place in places]
    with proxy(given.model, rank=4, lr=1e-2, seed=1, filler=given.form.end, precision="fp32") as small:
        for _ in range(3):
            small.step([given.encoded[place] for place in places[:2]])
        known = _references(small, given, places)
        small.reset()
        losses = []
        for one, label in zip(ids, labels, strict=True):
            said = small.model(one).logits[:, :-1].flatten(0, 1)
            losses.append(torch.nn.functional.cross_entropy(said, label[:, 1:].flatten(), reduction="none"))
        behind = [
            (loss[label[0, 1:] != -100] - known[place]).clamp(min=0)
            for loss, label, place in zip(losses, labels, places, strict=True)
        ]
        expected = [float(torch.cat([behind[0], behind[2]]).mean().detach()), float(behind[1].mean().detach()), 0.7]
        p, excess = _followed(small, given, places, known, (0.5, 0.3, 0.2), (0.1, 0.2, 0.7))
        assert excess == pytest.approx(expected, rel=1e-4)
        assert p == pytest.approx(updated((0.5, 0.3, 0.2), expected, 2.0, 1e-3), rel=1e-4)


def test_noise_gets_a_low_weight(tiny: Found) -> None:
    """Its answers are random: the reference learns them as little as the proxy does."""
    given = mixing(tiny, mixed(), "doremi", batch=8, steps=60, seed=1, share=0.3, rank=8, lr=3e-3)
    found = METHOD.weigh(given)
    assert found.weights[2] < 1 / 9 and sum(found.weights) == pytest.approx(1)
    assert found.facts["steps"] == 18
    assert found.weights == METHOD.weigh(given).weights
