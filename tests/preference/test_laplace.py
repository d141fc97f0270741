"""The posterior over a linear reward against values by hand, numerical derivatives and numerical integrals."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit

from tunewright.tools.preference.laplace import (
    LAM,
    Array,
    Posterior,
    averaged,
    fit,
    gradient,
    likeliest_lam,
    objective,
    prior,
)


def labelled(pairs: int, dimensions: int, seed: int = 0, scale: float = 2.0) -> tuple[Array, Array]:
    """Random pairs with noisy labels, some of them ties."""
    chance = np.random.default_rng(seed)
    differences = chance.standard_normal((pairs, dimensions))
    weights = scale * chance.standard_normal(dimensions) / np.sqrt(dimensions)
    outcomes = (chance.random(pairs) < expit(differences @ weights)).astype(np.float64)
    outcomes[::7] = 0.5
    return differences, outcomes


def test_one_pair_by_hand() -> None:
    """d = 1, won, lam = 1: the mode solves ``w = sigmoid(-w)``."""
    posterior = fit(np.array([[1.0]]), np.array([1.0]), lam=1.0)
    mode = 0.4010581375
    assert posterior.mean[0] == pytest.approx(mode, abs=1e-9)
    assert posterior.precision[0, 0] == pytest.approx(1 + expit(mode) * expit(-mode), abs=1e-9)


def test_a_tie_is_half_a_win_of_each() -> None:
    tie = fit(np.array([[1.0, 0.5]]), np.array([0.5]), lam=1.0)
    assert tie.mean == pytest.approx([0, 0])
    both = fit(np.array([[1.0, 0.5], [1.0, 0.5]]), np.array([1.0, 0.0]), lam=1.0)
    twice = fit(np.array([[1.0, 0.5], [1.0, 0.5]]), np.array([0.5, 0.5]), lam=1.0)
    assert both.precision == pytest.approx(twice.precision)


@pytest.mark.parametrize("lam", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("pairs", [1, 12, 300])
def test_the_mode_is_one_and_the_precision_is_the_curvature(pairs: int, lam: float) -> None:
    differences, outcomes = labelled(pairs, 6)
    posterior = fit(differences, outcomes, lam)
    assert np.abs(gradient(posterior.mean, differences, outcomes, lam)).max() < 1e-6 * pairs
    step = 1e-5
    for axis in np.eye(6):
        up, down = (gradient(posterior.mean + s * axis, differences, outcomes, lam) for s in (step, -step))
        assert (up - down) / (2 * step) == pytest.approx(posterior.precision @ axis, rel=1e-4, abs=1e-6)
        value = [objective(posterior.mean + s * axis, differences, outcomes, lam) for s in (step, 0.0, -step)]
        assert value[0] >= value[1] <= value[2]


def test_the_gradient_is_that_of_the_objective() -> None:
    differences, outcomes = labelled(20, 4)
    at = np.array([0.3, -1.0, 2.0, 0.1])
    slopes = [
        (objective(at + 1e-6 * e, differences, outcomes, 0.5) - objective(at - 1e-6 * e, differences, outcomes, 0.5))
        / 2e-6
        for e in np.eye(4)
    ]
    assert gradient(at, differences, outcomes, 0.5) == pytest.approx(slopes, rel=1e-5)


def test_labels_that_a_line_separates_still_have_a_mode() -> None:
    differences = np.random.default_rng(1).standard_normal((200, 3)) * 30
    posterior = fit(differences, (differences[:, 0] > 0).astype(np.float64), lam=1e-3)
    assert np.isfinite(posterior.mean).all() and posterior.mean[0] > 0
    assert np.isfinite(posterior.covariance).all()


def test_the_covariance_is_symmetric_positive_definite_and_the_inverse() -> None:
    posterior = fit(*labelled(40, 8), lam=0.1)
    assert posterior.covariance == pytest.approx(posterior.covariance.T, abs=1e-14)
    assert np.linalg.eigvalsh(posterior.covariance).min() > 0
    assert posterior.covariance @ posterior.precision == pytest.approx(np.eye(8), abs=1e-10)
    differences = np.random.default_rng(2).standard_normal((5, 8))
    assert posterior.variance(differences) == pytest.approx(np.diag(differences @ posterior.covariance @ differences.T))


def test_a_pair_lowers_the_variance_in_its_direction_by_what_the_formula_says() -> None:
    posterior = fit(*labelled(10, 5), lam=1.0)
    for pair in np.random.default_rng(3).standard_normal((20, 5)):
        before = posterior.variance(pair[None])[0]
        after = posterior.expecting(pair).variance(pair[None])[0]
        p = expit(pair @ posterior.mean)
        assert after < before
        assert after == pytest.approx(before / (1 + p * (1 - p) * before))


def test_no_direction_gains_variance_by_a_pair() -> None:
    posterior = fit(*labelled(10, 5), lam=1.0)
    more = posterior.expecting(np.array([1.0, -1.0, 0.0, 2.0, 0.0]))
    assert np.linalg.eigvalsh(posterior.covariance - more.covariance).min() > -1e-12


def test_without_labels_everything_is_even() -> None:
    posterior = fit(np.zeros((0, 4)), np.zeros(0), lam=0.3)
    assert np.array_equal(posterior.precision, prior(4, 0.3).precision)
    differences = np.random.default_rng(4).standard_normal((50, 4)) * 100
    assert (posterior.probability(differences) == 0.5).all()


def test_doubt_draws_probabilities_towards_one_half() -> None:
    differences, outcomes = labelled(15, 5)
    posterior = fit(differences, outcomes, lam=0.1)
    plain, doubted = expit(posterior.margin(differences)), posterior.probability(differences)
    assert (np.abs(doubted - 0.5) < np.abs(plain - 0.5)).all()
    assert ((doubted > 0.5) == (plain > 0.5)).all()


@pytest.mark.parametrize("margin", [-3.0, 0.0, 0.7, 5.0])
@pytest.mark.parametrize("variance", [0.0, 0.5, 4.0, 50.0])
def test_the_probit_approximation_is_near_the_integral(margin: float, variance: float) -> None:
    side = math.sqrt(variance)
    exact = quad(lambda z: expit(margin + side * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi), -12, 12)[0]
    assert averaged(np.array([margin]), np.array([variance]))[0] == pytest.approx(exact, abs=0.02)


def test_samples_have_the_posteriors_moments() -> None:
    posterior = fit(*labelled(30, 3), lam=0.5)
    chance = np.random.default_rng(5)
    drawn = np.array([posterior.sample(chance) for _ in range(20000)])
    assert drawn.mean(0) == pytest.approx(posterior.mean, abs=0.03)
    assert np.cov(drawn.T) == pytest.approx(posterior.covariance, abs=0.03)


def test_bits_by_hand_and_never_negative() -> None:
    """KL(N(1, 1/4) || N(0, 1)) = ((1/4 + 1 - 1) + ln 4) / 2 nats."""
    before = Posterior(np.zeros(1), np.eye(1))
    after = Posterior(np.ones(1), 4 * np.eye(1))
    assert after.bits_over(before) == pytest.approx(0.5 * (0.25 + math.log(4)) / math.log(2))
    assert before.bits_over(before) == 0
    differences, outcomes = labelled(30, 4)
    seen = [fit(differences[:n], outcomes[:n], 1.0) for n in range(31)]
    assert all(new.bits_over(old) > 0 for old, new in pairwise(seen))


def test_a_surprise_teaches_more_than_what_was_expected() -> None:
    differences = np.tile([[1.0, 0.0]], (6, 1))
    before = fit(differences[:5], np.ones(5), 1.0)
    expected, surprising = (fit(differences, np.array([1.0] * 5 + [last]), 1.0) for last in (1.0, 0.0))
    assert surprising.bits_over(before) > 5 * expected.bits_over(before)


def test_the_prior_follows_the_labels() -> None:
    """Labels that a large reward explains want a wide prior, coin tosses a narrow one; a few say nothing."""
    differences, _ = labelled(200, 5)
    clear = (differences @ np.array([3.0, -3.0, 0, 1.0, 0]) > 0).astype(np.float64)
    tossed = np.random.default_rng(6).integers(0, 2, 200).astype(np.float64)
    assert likeliest_lam(differences, clear) <= 0.1
    assert likeliest_lam(differences, tossed) == 10.0
    assert likeliest_lam(differences[:5], clear[:5]) == LAM


def test_the_chosen_prior_is_the_likeliest_by_numerical_integration() -> None:
    """One weight: the labels' probability can be integrated over it."""
    chance = np.random.default_rng(7)
    differences = chance.standard_normal((60, 1))
    outcomes = (chance.random(60) < expit(1.2 * differences[:, 0])).astype(np.float64)

    def evidence(lam: float) -> float:
        norm = math.sqrt(lam / (2 * math.pi))
        return quad(lambda w: norm * math.exp(-objective(np.array([w]), differences, outcomes, lam) + 40), -8, 8)[0]

    chosen = likeliest_lam(differences, outcomes)
    assert all(evidence(chosen) >= 0.98 * evidence(10.0 ** (e / 2)) for e in range(-6, 3))


@pytest.mark.parametrize("lam", [0.0, -1.0, math.nan])
def test_a_prior_without_width_is_refused(lam: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        fit(np.zeros((0, 2)), np.zeros(0), lam)
