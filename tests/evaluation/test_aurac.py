"""AURAC against areas worked out by hand."""

from __future__ import annotations

import pytest

from tunewright.tools.evaluation.aurac import aurac

MEASURED = {8: 0.9, 1: 0.2, 2: 0.4, 4: 0.6}


def test_version_1_spaces_ranks_by_their_value() -> None:
    # widths 1, 2, 4 at mean heights 0.3, 0.5, 0.75: (0.3 + 1.0 + 3.0) / 7
    assert aurac(MEASURED, version=1) == pytest.approx(4.3 / 7)


def test_version_2_lets_each_doubling_count_alike() -> None:
    # widths 1, 1, 1: (0.3 + 0.5 + 0.75) / 3
    assert aurac(MEASURED) == pytest.approx(1.55 / 3)


def test_ranks_that_are_no_powers_of_two_have_their_logarithms_as_widths() -> None:
    # log2 of 1, 4, 16: widths 2 and 2; of 3 to 6: width 1
    assert aurac({1: 0.0, 4: 1.0, 16: 0.5}) == pytest.approx((2 * 0.5 + 2 * 0.75) / 4)
    assert aurac({3: 0.25, 6: 0.75}) == pytest.approx(0.5)


@pytest.mark.parametrize("version", [1, 2])
def test_one_accuracy_everywhere_is_the_area(version: int) -> None:
    assert aurac({1: 0.7, 3: 0.7, 32: 0.7}, version=version) == pytest.approx(0.7)  # type: ignore[arg-type]  # 1 and 2


@pytest.mark.parametrize("given", [{}, {4: 0.5}, {0: 0.1, 2: 0.3}])
def test_too_few_ranks_or_none_that_there_can_be_are_refused(given: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="at least two ranks"):
        aurac(given)
