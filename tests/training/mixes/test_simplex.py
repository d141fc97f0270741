"""Weights by hand: scaling, caps, temperatures, and mixtures drawn around a prior."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.chosen import mixing
from tests.training.planted import row

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Recipe
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.mixes.temperature import METHOD as TEMPERATURE
from tunewright.tools.training.mixes.temperature import tempered
from tunewright.tools.training.mixes.uniform import METHOD as UNIFORM
from tunewright.tools.training.registry import check_recipe
from tunewright.tools.training.simplex import capped, dirichlet, repeats, scaled, softmax


def entropy(weights: tuple[float, ...]) -> float:
    return -sum(weight * math.log(weight) for weight in weights if weight > 0)


def sources(**sizes: int) -> list[dict[str, object]]:
    return [row(n, name, f"{name} {n}", "yes") for name, size in sizes.items() for n in range(size)]


def test_scaled_and_softmax() -> None:
    assert scaled([1, 3]) == (0.25, 0.75) and scaled([0, 0]) == (0.5, 0.5)
    assert softmax([0.0, math.log(3)]) == pytest.approx((0.25, 0.75))
    assert softmax([1000.0, 1000.0]) == (0.5, 0.5)


def test_caps_by_hand() -> None:
    assert capped((0.7, 0.2, 0.1), (0.5, 1.0, 1.0)) == pytest.approx((0.5, 0.5 * 2 / 3, 0.5 / 3))
    assert capped((0.7, 0.2, 0.1), (0.5, 0.3, 1.0)) == pytest.approx((0.5, 0.3, 0.2)), "what is passed on is capped too"
    assert capped((0.7, 0.3), (1.0, 1.0)) == pytest.approx((0.7, 0.3))
    assert capped((0.9, 0.1), (0.2, 0.3)) == pytest.approx((0.4, 0.6)), "no room: all bounds are raised alike"
    assert capped((1.0, 0.0), (0.25, 0.75)) == pytest.approx((0.25, 0.75))


@given(
    raw=st.lists(st.floats(0.001, 1), min_size=2, max_size=5),
    bounds=st.lists(st.floats(0.01, 1), min_size=5, max_size=5),
)
def test_caps_hold_and_nothing_is_lost(raw: list[float], bounds: list[float]) -> None:
    weights, limits = scaled(raw), bounds[: len(raw)]
    found = capped(weights, limits)
    assert sum(found) == pytest.approx(1) and min(found) >= 0
    over = max(1.0, 1 / sum(limits))
    assert all(weight <= limit * over + 1e-9 for weight, limit in zip(found, limits, strict=True))


def test_temperature_by_hand() -> None:
    assert tempered([16, 4], 1.0) == pytest.approx((0.8, 0.2)), "T = 1 is in proportion"
    assert tempered([16, 4], 2.0) == pytest.approx((4 / 6, 2 / 6))
    assert tempered([16, 4, 0], 1e9) == pytest.approx((0.5, 0.5, 0)), "a large T is uniform over what there is"
    rising = [entropy(tempered([90, 9, 1], t)) for t in (1.0, 1.5, 2.0, 5.0, 50.0)]
    assert rising == sorted(rising) and rising[0] < rising[-1]


def test_no_source_is_repeated_more_than_four_times(tiny: Found) -> None:
    rows = sources(big=60, small=2)
    given = mixing(tiny, rows, "temperature", steps=30, batch=4, temperature=100.0)  # 120 rows are trained on
    weights = TEMPERATURE.weigh(given).weights
    assert weights == pytest.approx((112 / 120, 8 / 120))
    assert repeats((60, 2), 120, 4.0) == pytest.approx((1.0, 8 / 120))
    often = mixing(tiny, rows, "temperature", steps=30, batch=4, temperature=100.0, most_repeats=1000.0)
    assert TEMPERATURE.weigh(often).weights == pytest.approx((0.5, 0.5), abs=0.02)


def test_uniform_weighs_what_has_rows(tiny: Found) -> None:
    given = mixing(tiny, sources(a=9, b=3), "uniform", names=("a", "b", "empty"))
    assert UNIFORM.weigh(given).weights == (0.5, 0.5, 0.0)


@pytest.mark.parametrize("kind", ["uniform", "temperature"])
def test_policies_that_make_weights_take_none(kind: str) -> None:
    data = {"policy": {"kind": kind}, "weights": [0.5, 0.5]}
    recipe = Recipe.model_validate({"stages": [{"data": data, "optimisation": {"lr": 1e-3, "steps": 1}}]})
    with pytest.raises(UsageError, match=f"'{kind}' makes the weights") as caught:
        check_recipe(recipe)
    assert "'given'" in caught.value.hint


def test_mixtures_are_drawn_around_the_prior() -> None:
    """The mean of a Dirichlet distribution is its base, whatever the strength: here the square roots, scaled."""
    drawn = dirichlet((0.64, 0.36, 0.0), 4000, numpy.random.default_rng(0))
    assert all(sum(one) == pytest.approx(1) and min(one) >= 0 and one[2] == 0 for one in drawn)
    assert sum(one[0] for one in drawn) / 4000 == pytest.approx(0.8 / 1.4, abs=0.02)
    assert min(one[0] for one in drawn) < 0.01 and max(one[0] for one in drawn) > 0.99, "some are near one source"
    again = dirichlet((0.64, 0.36, 0.0), 4000, numpy.random.default_rng(0))
    assert drawn == again
