"""Intervals around a forecast: what the prior says with few trials, and the trials' own residuals with many."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from tunewright.tools.models.calibration import Calibration, Factor, Prior, Traits

PRIOR = Prior(noise=0.1, machine=20.0, size=4.0, aspects={"kind": 4.0})


def of(kind: str = "lora", size: float = 0.0) -> Traits:
    return Traits({"kind": kind}, size)


def width(factor: Factor) -> float:
    return math.log(factor.high / factor.low)


def noisy(count: int, spread: float, middle: float = 1.5, seed: int = 0) -> list[tuple[Traits, float]]:
    chance = random.Random(seed)
    return [(of(), middle * math.exp(chance.gauss(0, spread))) for _ in range(count)]


def test_nothing_seen_is_the_prior_and_one_trial_corrects_nearly_all_of_it() -> None:
    none = Calibration(PRIOR, []).factor(of())
    assert none.expected == 1 and none.low * none.high == pytest.approx(1)
    one = Calibration(PRIOR, [(of(), 3.0)])
    assert one.factor(of()).expected == pytest.approx(3, rel=0.05)
    kin, other, far = one.factor(of()), one.factor(of("dora")), one.factor(of("dora", size=5.0))
    assert width(kin) < width(other) < width(far), "what is less alike is less sure"
    assert kin.expected > other.expected > far.expected > 2
    small = Calibration(PRIOR, [(of(), 1.0)])
    assert width(small.factor(of())) < width(none)
    assert kin.of(10.0).expected == pytest.approx(30, rel=0.05) and kin.of(10.0).high == 10 * kin.high


def test_with_many_trials_the_width_is_that_of_their_residuals() -> None:
    for spread in (0.02, 0.1, 0.4):
        found = Calibration(PRIOR, noisy(200, spread)).factor(of())
        assert found.expected == pytest.approx(1.5, rel=0.1)
        assert width(found) == pytest.approx(2 * 1.2816 * spread, rel=0.35)


def test_no_interval_is_a_point_however_well_the_trials_agree() -> None:
    for count in (1, 4, 16):
        agreed = Calibration(PRIOR, [(of(), 1.2)] * count).factor(of())
        assert width(agreed) > 0.2 * 0.1 and agreed.low < agreed.expected < agreed.high


def test_one_trial_that_stood_still_neither_moves_nor_widens_much() -> None:
    usual = noisy(12, 0.05)
    clean = Calibration(PRIOR, usual).factor(of())
    spoiled = Calibration(PRIOR, [*usual, (of(), 40.0)]).factor(of())
    assert spoiled.expected == pytest.approx(clean.expected, rel=0.05)
    assert width(spoiled) < 1.6 * width(clean)


def test_kinds_that_differ_are_each_forecast_as_their_own() -> None:
    seen = [trial for kind, at in (("lora", 1.0), ("dora", 1.6)) for trial in ((of(kind), at),) * 6]
    both = Calibration(PRIOR, seen)
    assert both.factor(of("lora")).expected == pytest.approx(1.0, rel=0.05)
    assert both.factor(of("dora")).expected == pytest.approx(1.6, rel=0.05)
    assert 1.0 < both.factor(of("ia3")).expected < 1.6, "a kind that nobody tried is like the others together"
    assert width(both.factor(of("ia3"))) > width(both.factor(of("lora")))


@pytest.mark.parametrize("count", [1, 3, 8, 16])
def test_four_in_five_fall_inside_where_the_prior_is_right(count: int) -> None:
    chance, inside = random.Random(count), []
    for _ in range(400):
        machine = chance.gauss(0, PRIOR.noise * math.sqrt(PRIOR.machine + PRIOR.size))
        kinds = {kind: machine + chance.gauss(0, PRIOR.noise * 2) for kind in "abc"}
        drawn = [(kind, math.exp(kinds[kind] + chance.gauss(0, PRIOR.noise))) for kind in chance.choices("abc", k=17)]
        found = Calibration(PRIOR, [(of(kind), ratio) for kind, ratio in drawn[:count]]).factor(of(drawn[count][0]))
        inside.append(found.low <= drawn[count][1] <= found.high)
    assert 0.73 <= statistics.fmean(inside) <= 0.9
