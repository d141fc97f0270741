"""Which pair is asked for next: nothing twice, what teaches most first, and fewer labels than at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import entr, expit

from tunewright.tools.preference.acquisition import choose, information
from tunewright.tools.preference.laplace import Array, Posterior, fit, prior
from tunewright.tools.preference.options import Acquire
from tunewright.tools.preference.pool import Pool


def pool_of(answers: Sequence[int], dimensions: int, seed: int = 0) -> Pool:
    chance = np.random.default_rng(seed)
    return Pool.of(chance.standard_normal((sum(answers), dimensions)), answers)


def everything(pool: Pool) -> np.ndarray:
    return np.ones(len(pool), dtype=np.bool_)


def test_pairs_are_of_one_prompt() -> None:
    pool = pool_of([2, 3, 1], 2)
    assert list(zip(pool.first.tolist(), pool.second.tolist(), strict=True)) == [(0, 1), (2, 3), (2, 4), (3, 4)]
    assert pool.prompts.tolist() == [0, 0, 1, 1, 1, 2]
    assert pool.differences([2])[0] == pytest.approx(pool.features[2] - pool.features[4])


@pytest.mark.parametrize(("margin", "variance"), [(0.0, 1.0), (0.0, 9.0), (1.5, 2.0), (-4.0, 1.0), (2.0, 0.0)])
def test_information_is_the_integral(margin: float, variance: float) -> None:
    side = variance**0.5

    def mean(f: object) -> float:
        assert callable(f)
        weight = 1 / np.sqrt(2 * np.pi)
        return float(quad(lambda z: f(expit(margin + side * z)) * weight * np.exp(-z * z / 2), -10, 10)[0])

    def coin(p: float) -> float:
        return float((entr(p) + entr(1 - p)) / np.log(2))

    exact = coin(mean(lambda p: p)) - mean(coin)
    assert information(np.array([margin]), np.array([variance]))[0] == pytest.approx(exact, abs=5e-3)


def test_information_grows_with_doubt_and_is_even_handed() -> None:
    variance = np.array([0.0, 0.1, 1.0, 10.0, 1000.0])
    known = information(np.zeros(5), variance)
    assert known[0] == pytest.approx(0, abs=1e-12)
    assert (np.diff(known) > 0).all() and known[-1] <= 1
    assert information(np.full(5, 2.0), variance) == pytest.approx(information(np.full(5, -2.0), variance), abs=1e-9)
    assert information(np.array([8.0]), np.array([1.0]))[0] < 0.01


@pytest.mark.parametrize("acquire", ["thompson", "bald", "random"])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_every_pair_is_asked_for_once_and_then_none(acquire: Acquire, alpha: float) -> None:
    pool = pool_of([3, 4, 2], 3)
    left, posterior, chance = everything(pool), prior(3, 1.0), np.random.default_rng(0)
    seen: list[int] = []
    while pairs := choose(posterior, pool, left, chance, count=2, alpha=alpha, acquire=acquire):
        seen += pairs
        left[pairs] = False
        outcomes = (pool.differences(seen)[:, 0] > 0).astype(np.float64)
        posterior = fit(pool.differences(seen), outcomes, 1.0)
    assert sorted(seen) == list(range(len(pool)))


@pytest.mark.parametrize("acquire", ["thompson", "bald"])
def test_a_batch_does_not_ask_the_same_thing_twice(acquire: Acquire) -> None:
    """Twenty prompts with the same pair, and one with another that says less."""
    same, other = [[2.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]
    pool = Pool.of(np.array(same * 20 + other), [2] * 21)
    first, second = choose(
        prior(2, 0.1), pool, everything(pool), np.random.default_rng(0), count=2, alpha=0.5, acquire=acquire
    )
    assert first != 20 and second == 20


def test_the_same_seed_chooses_the_same_and_another_another() -> None:
    pool = pool_of([4] * 20, 5)
    posterior = fit(pool.differences([0, 7]), np.array([1.0, 0.0]), 1.0)
    found = [
        choose(posterior, pool, everything(pool), np.random.default_rng(seed), count=8, alpha=0.5) for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]


def test_alpha_turns_towards_good_answers() -> None:
    """One prompt with many answers, of whose rewards much is known."""
    pool = pool_of([40], 4)
    posterior = Posterior(np.array([3.0, 0, 0, 0]), np.eye(4))
    rewards = pool.features @ posterior.mean

    def worth(alpha: float) -> float:
        chance = np.random.default_rng(1)
        pairs = [choose(posterior, pool, everything(pool), chance, count=1, alpha=alpha)[0] for _ in range(60)]
        return float(np.minimum(rewards[pool.first[pairs]], rewards[pool.second[pairs]]).mean())

    assert worth(1.0) > worth(0.5) + 0.2 > worth(0.0) + 0.4


def labels_needed(acquire: Acquire, alpha: float, seed: int, *, batch: int = 4, most: int = 120) -> int:
    """Labels until nine in ten unseen pairs are ordered as a linear preference over 20 features orders them."""
    chance = np.random.default_rng(seed)
    pool = pool_of([4] * 60, 20, seed)
    weights = chance.standard_normal(20)
    unseen = chance.standard_normal((1000, 20))
    left, posterior, seen = everything(pool), prior(20, 1.0), list[int]()
    while len(seen) < most:
        pairs = choose(posterior, pool, left, chance, count=batch, alpha=alpha, acquire=acquire)
        seen += pairs
        left[pairs] = False
        differences = pool.differences(seen)
        posterior = fit(differences, _wins(differences, weights), 1.0)
        if (_wins(unseen, posterior.mean) == _wins(unseen, weights)).mean() >= 0.9:
            break
    return len(seen)


def _wins(differences: Array, weights: Array) -> Array:
    return (differences @ weights > 0).astype(np.float64)


def test_active_choice_needs_fewer_labels_than_chance() -> None:
    seeds = range(20)
    random = np.mean([labels_needed("random", 0.0, seed) for seed in seeds])
    ways: list[tuple[Acquire, float]] = [("thompson", 0.0), ("thompson", 0.5), ("thompson", 1.0), ("bald", 0.0)]
    for acquire, alpha in ways:
        active = np.mean([labels_needed(acquire, alpha, seed) for seed in seeds])
        assert active < 0.75 * random, (acquire, alpha, active, random)
