"""Each loss by hand on a few tokens, where it stops to learn, and what it is a mean of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tunewright.tools.training.objectives.cispo import CispoConfig
from tunewright.tools.training.objectives.sapo import SapoConfig
from tunewright.tools.training.reinforcement.method import ClippedConfig
from tunewright.tools.training.reinforcement.policy_loss import (
    PolicyLoss,
    Tokens,
    clipped,
    divergence,
    geometric,
    product,
    shares,
    soft,
    weighted,
)

BOUNDS = ClippedConfig(epsilon=0.2, epsilon_high=0.3)
SETTINGS: dict[PolicyLoss, Any] = {
    clipped: BOUNDS,
    geometric: BOUNDS,
    product: BOUNDS,
    weighted: CispoConfig(epsilon_high=1.5),
    soft: SapoConfig(tau=1.0, tau_negative=2.0),
}
OLD = -2.0


def tokens(ratios: Sequence[float], advantages: Sequence[float], answers: Sequence[int] = ()) -> Tokens:
    """Tokens of these ratios, each an answer of its own if it is not said of which it is."""
    answer = torch.tensor(answers or range(len(ratios)))
    old = torch.full((len(ratios),), OLD, dtype=torch.float64)
    now = (old + torch.tensor(ratios, dtype=torch.float64).log()).requires_grad_()
    given = torch.tensor(advantages, dtype=torch.float64)
    return Tokens(now, old, given, answer, int(answer.max()) + 1)


def losses(loss: PolicyLoss, given: Tokens) -> tuple[list[float], list[bool], list[float]]:
    """Of each token: the loss, whether it is cut, and the gradient of the sum of losses."""
    each, cut = loss(given, SETTINGS[loss])
    (slope,) = torch.autograd.grad(each.sum(), given.now)
    return each.tolist(), cut.tolist(), slope.tolist()


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_clipped_by_hand() -> None:
    ratios = [1.1, 1.5, 0.5, 0.9, 1.5, 0.5]
    each, cut, slope = losses(clipped, tokens(ratios, [2.0, 2.0, 2.0, -1.0, -1.0, -1.0]))
    assert each == pytest.approx([-2.2, -2.6, -1.0, 0.9, 1.5, 0.8])
    assert cut == [False, True, False, False, False, True]
    assert slope == pytest.approx([-2.2, 0.0, -1.0, 0.9, 1.5, 0.0]), "the ratio's slope is the ratio"


def test_one_bound_serves_for_both_where_there_is_no_other() -> None:
    settings = ClippedConfig(epsilon=0.2)
    each, _ = clipped(tokens([1.5, 0.5], [1.0, -1.0]), settings)
    assert each.tolist() == pytest.approx([-1.2, 0.8])


@pytest.mark.parametrize("loss", [clipped, geometric, product])
@pytest.mark.parametrize("size", [1, 3])
def test_it_is_flat_on_the_side_that_has_been_gained_and_not_on_the_other(loss: PolicyLoss, size: int) -> None:
    def moving(ratio: float, advantage: float) -> bool:
        each = ratio ** (1 / size if loss is product else 1)  # the ratio of the answer is the one that counts
        _, cut, slope = losses(loss, tokens([each] * size, [advantage] * size, [0] * size))
        assert len(set(cut)) == 1 and cut[0] == (not any(slope))
        return all(one * advantage < 0 for one in slope)

    assert not moving(1.31, 1.0) and moving(1.29, 1.0) and moving(0.1, 1.0)
    assert not moving(0.79, -1.0) and moving(0.81, -1.0) and moving(9.0, -1.0)


def test_the_ratio_of_an_answer_is_the_geometric_mean_of_its_tokens() -> None:
    # of the first answer (1.2 * 1.25 * 0.8)^(1/3), of the second sqrt(2 * 1.125) = 1.5
    ratios = [1.2, 2.0, 1.25, 1.125, 0.8]
    each, cut, slope = losses(geometric, tokens(ratios, [1.0, -2.0, 1.0, -2.0, 1.0], [0, 1, 0, 1, 0]))
    first = 1.2 ** (1 / 3)
    assert each == pytest.approx([-first, 3.0, -first, 3.0, -first]) and not any(cut)
    assert slope == pytest.approx([-first, 3.0, -first, 3.0, -first]), "each of n tokens moves n losses by 1/n"


def test_the_ratio_of_an_action_is_the_product_of_its_tokens() -> None:
    ratios = [1.2, 2.0, 1.25, 1.125, 0.8]
    each, cut, slope = losses(product, tokens(ratios, [1.0, -2.0, 1.0, -2.0, 1.0], [0, 1, 0, 1, 0]))
    assert each == pytest.approx([-1.2, 4.5, -1.2, 4.5, -1.2]) and not any(cut)
    assert slope == pytest.approx([-3.6, 9.0, -3.6, 9.0, -3.6])


def test_weighted_by_hand_and_no_token_is_lost() -> None:
    ratios, advantages = [0.1, 1.2, 4.0, 4.0], [1.0, -1.0, 2.0, -2.0]
    given = tokens(ratios, advantages)
    each, cut, slope = losses(weighted, given)
    weights = [0.1, 1.2, 1.5, 1.5]
    now = [OLD + math.log(ratio) for ratio in ratios]
    assert each == pytest.approx([-w * a * n for w, a, n in zip(weights, advantages, now, strict=True)])
    assert slope == pytest.approx([-w * a for w, a in zip(weights, advantages, strict=True)])
    assert cut == [False, False, True, False]


def test_soft_by_hand_and_its_gate_never_closes_wholly() -> None:
    each, cut, slope = losses(soft, tokens([1.0, 3.0, 1.0, 3.0], [1.0, 1.0, -0.5, -0.5]))
    assert each == pytest.approx([-4 * s(0), -4 * s(2.0), 0.5 * 2 * s(0), 0.5 * 2 * s(4.0)])
    # (4 / tau) s' tau r A
    gate = [1.0, 12 * s(2.0) * s(-2.0), 1.0, 12 * s(4.0) * s(-4.0)]
    assert slope == pytest.approx([-gate[0], -gate[1], 0.5 * gate[2], 0.5 * gate[3]])
    assert not any(cut) and 0 < gate[3] < gate[1] < 3.0


@pytest.mark.parametrize("loss", SETTINGS)
def test_on_the_policy_all_are_the_policy_gradient(loss: PolicyLoss) -> None:
    given = tokens([1.0] * 5, [1.5, 1.5, -0.5, -0.5, -0.5], [0, 0, 1, 1, 1])
    each, cut = loss(given, SETTINGS[loss])
    assert not cut.any()
    one = shares(torch.tensor([2, 3]), "answer", 8).double()[given.answer]
    (slope,) = torch.autograd.grad((each * one).sum(), given.now)
    times = 1 if loss is not product else torch.tensor([2, 2, 3, 3, 3])  # an action's gradient is not over its length
    assert torch.allclose(slope, -given.advantage * one * times)


@pytest.mark.parametrize("loss", SETTINGS)
def test_what_is_worth_nothing_moves_nothing(loss: PolicyLoss) -> None:
    each, cut, slope = losses(loss, tokens([0.2, 1.0, 7.0], [0.0] * 3))
    assert not any(each) and not any(cut) and not any(slope)


def test_divergence_by_hand() -> None:
    found = divergence(torch.tensor([-1.0, -1.0, -2.0]), torch.tensor([-1.0, -2.0, -1.0]))
    assert found.tolist() == pytest.approx([0.0, math.exp(-1.0), math.e - 2])


def test_divergence_is_never_below_zero_and_right_in_the_mean() -> None:
    chance = torch.Generator().manual_seed(4)
    for _ in range(20):
        now, before = torch.log_softmax(2 * torch.randn(2, 9, generator=chance, dtype=torch.float64), 1)
        each = divergence(now, before)
        assert (each >= 0).all()
        truth = (now.exp() * (now - before)).sum()
        assert float((now.exp() * each).sum()) == pytest.approx(float(truth), rel=1e-9), "over all that can be said"


LENGTHS = torch.tensor([2, 6, 0])


def test_shares_by_hand() -> None:
    longest = 8
    assert shares(LENGTHS, "answer", longest).tolist() == pytest.approx([1 / 2, 1 / 6, 1.0])
    assert shares(LENGTHS, "token", longest).tolist() == pytest.approx([3 / 8] * 3)
    assert shares(LENGTHS, "length", longest).tolist() == pytest.approx([1 / 8] * 3)


def test_answers_that_are_all_masked_are_counted_and_divide_by_nothing() -> None:
    nothing = torch.zeros(3, dtype=torch.long)
    for mean in ("answer", "token", "length"):
        found = shares(nothing, mean, 8)  # type: ignore[arg-type]
        assert torch.isfinite(found).all() and found.shape == (3,)


def test_where_answers_are_equally_long_the_means_are_one_but_for_the_greatest_length() -> None:
    length, longest = 5, 8
    even = torch.full((4,), length)
    answer, token, over = (shares(even, mean, longest) for mean in ("answer", "token", "length"))  # type: ignore[arg-type]
    assert torch.allclose(answer, token) and torch.allclose(over, answer * length / longest)
