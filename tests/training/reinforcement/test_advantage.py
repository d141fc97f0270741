"""What an answer is worth: by hand, by a sum over all that follows, and that nothing is learned from agreement."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from tunewright.tools.training.reinforcement.advantage import (
    FLOOR,
    generalised,
    group_relative,
    leave_one_out,
    unanimous,
    whitened,
)
from tunewright.tools.training.reinforcement.method import Scales

REWARDS = torch.tensor([1.0, 0.0, 0.0, 3.0, 2.0, 4.0])
"""Two groups of three: means 1/3 and 3, deviations sqrt(1/3) and 1."""


def drawn(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_group_relative_by_hand() -> None:
    first, second = math.sqrt(1 / 3) + FLOOR, 1 + FLOOR
    expected = [(2 / 3) / first, (-1 / 3) / first, (-1 / 3) / first, 0.0, -1 / second, 1 / second]
    assert group_relative(REWARDS, 3).tolist() == pytest.approx(expected, abs=1e-6)
    plain = [2 / 3, -1 / 3, -1 / 3, 0.0, -1.0, 1.0]
    assert group_relative(REWARDS, 3, "none").tolist() == pytest.approx(plain, abs=1e-6)
    mean = sum(REWARDS.tolist()) / 6
    over = math.sqrt(sum((one - mean) ** 2 for one in REWARDS.tolist()) / 5) + FLOOR
    assert group_relative(REWARDS, 3, "batch").tolist() == pytest.approx([one / over for one in plain], abs=1e-6)


def test_a_scale_leaves_shift_and_size_of_rewards_without_effect() -> None:
    rewards = drawn(12) + 5
    moved = group_relative(3 * rewards - 40, 4)
    assert moved.tolist() == pytest.approx(group_relative(rewards, 4).tolist(), rel=1e-3)
    assert group_relative(3 * rewards, 4, "none").tolist() == pytest.approx(
        (3 * group_relative(rewards, 4, "none")).tolist()
    )


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -0.7, 1e6 / 3])
@pytest.mark.parametrize("size", [2, 3, 7])
def test_groups_that_agree_are_worth_exactly_nothing(value: float, size: int) -> None:
    agreed, split = torch.full((size,), value), torch.tensor([0.1] * (size - 1) + [0.9])
    rewards = torch.cat([agreed, split])
    assert unanimous(rewards, size).tolist() == [True, False]
    for found in (
        leave_one_out(rewards, size),
        *(group_relative(rewards, size, scale) for scale in get_args(Scales)),
    ):
        assert found[:size].tolist() == [0.0] * size
        assert found[-1] > 0 > found[size]


def test_leave_one_out_is_the_reward_less_the_mean_of_the_others() -> None:
    found = leave_one_out(REWARDS, 3).tolist()
    assert found == pytest.approx([1 - 0, 0 - 0.5, 0 - 0.5, 3 - 3, 2 - 3.5, 4 - 2.5], abs=1e-6)
    plain = group_relative(REWARDS, 3, "none")
    assert found == pytest.approx((3 / 2 * plain).tolist(), abs=1e-6), "G / (G - 1) (R - mean)"


def test_generalised_by_hand_on_two_tokens() -> None:
    gamma, lam = 0.9, 0.5
    last = 1.0 - 0.25  # 1 + 0.9 * 0 - V
    first = (0.1 + 0.9 * 0.25 - 0.5) + 0.9 * 0.5 * last
    advantage, earned = generalised(
        torch.tensor([[0.1, 1.0]]), torch.tensor([[0.5, 0.25]]), torch.ones(1, 2), gamma, lam
    )
    assert advantage.tolist()[0] == pytest.approx([first, last])
    assert earned.tolist()[0] == pytest.approx([first + 0.5, last + 0.25])


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.7, 0.0)])
def test_generalised_is_the_sum_of_what_was_not_foreseen(gamma: float, lam: float) -> None:
    spans = [(2, 7), (0, 4), (5, 6), (3, 3)]  # the last answer has no token
    mask = torch.zeros(4, 7, dtype=torch.float64)
    for row, (start, end) in enumerate(spans):
        mask[row, start:end] = 1
    rewards, values = drawn(4, 7) * mask, drawn(4, 7, seed=4) * mask
    advantage, earned = generalised(rewards, values, mask, gamma, lam)
    for row, (start, end) in enumerate(spans):
        delta = {
            t: rewards[row, t] + (gamma * values[row, t + 1] if t + 1 < end else 0) - values[row, t]
            for t in range(start, end)
        }
        for t in range(7):
            inside = start <= t < end
            expected = sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, end)) if inside else 0.0
            assert float(advantage[row, t]) == pytest.approx(float(expected), abs=1e-12)
            assert float(earned[row, t]) == pytest.approx(float(expected + values[row, t]), abs=1e-12)


def test_with_lambda_one_a_return_is_what_was_earned_whatever_the_critic_said() -> None:
    rewards, ones = drawn(2, 5), torch.ones(2, 5, dtype=torch.float64)
    to_come = rewards.flip(1).cumsum(1).flip(1)
    for seed in (1, 2):
        _, earned = generalised(rewards, drawn(2, 5, seed=seed), ones, 1.0, 1.0)
        assert torch.allclose(earned, to_come)


def test_what_lies_outside_the_mask_says_nothing() -> None:
    mask = torch.tensor([[0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    rewards, values = drawn(1, 4) * mask, drawn(1, 4, seed=4)
    noise = torch.tensor([[5.0, 0.0, 0.0, -7.0]], dtype=torch.float64)
    one, other = (generalised(rewards, given, mask, 0.9, 0.8) for given in (values, values + noise))
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    assert one[0][0, [0, 3]].tolist() == [0.0, 0.0] == one[1][0, [0, 3]].tolist()


def test_whitened_values_have_mean_zero_and_deviation_one() -> None:
    assert whitened(torch.tensor([1.0, 3.0])).tolist() == pytest.approx([-1.0, 1.0])
    found = whitened(drawn(50) * 9 + 4)
    assert float(found.mean()) == pytest.approx(0, abs=1e-12)
    assert float(found.std(correction=0)) == pytest.approx(1, rel=1e-6)
    assert whitened(torch.full((3,), 2.0)).tolist() == [0.0] * 3 == whitened(torch.zeros(1)).tolist() * 3
