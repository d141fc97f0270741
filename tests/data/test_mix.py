"""The data mix: one epoch by weights."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.domain.errors import DataError
from tunewright.tools.data.mix import mix
from tunewright.tools.data.rows import Row


def rows(**sizes: int) -> list[Row]:
    return [
        Row(id=f"{name}{i}", source=name, input="", target="", meta={}) for name, n in sizes.items() for i in range(n)
    ]


def test_without_weights_every_row_comes_once_in_an_order_of_the_seed() -> None:
    all_rows = rows(a=30, b=10)
    mixed = mix(all_rows, ["a", "b"], [], seed=1)
    assert sorted(row["id"] for row in mixed) == sorted(row["id"] for row in all_rows)
    assert mixed == mix(all_rows, ["a", "b"], [], seed=1)
    assert mixed != mix(all_rows, ["a", "b"], [], seed=2) != all_rows


@given(
    sizes=st.lists(st.integers(1, 50), min_size=2, max_size=4),
    raw=st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    seed=st.integers(0, 9),
)
def test_an_epoch_has_as_many_rows_and_the_weights_shares(sizes: list[int], raw: list[float], seed: int) -> None:
    names = [f"s{i}" for i in range(len(sizes))]
    weights = [value / sum(raw[: len(sizes)]) for value in raw[: len(sizes)]]
    all_rows = rows(**dict(zip(names, sizes, strict=True)))
    mixed = mix(all_rows, names, weights, seed=seed)
    assert len(mixed) == len(all_rows)
    counts = Counter(row["source"] for row in mixed)
    uses = Counter(row["id"] for row in mixed)
    for name, size, weight in zip(names, sizes, weights, strict=True):
        assert abs(counts[name] - weight * len(all_rows)) < 1
        # Whole passes before any row comes again.
        times = [uses[f"{name}{i}"] for i in range(size)]
        assert max(times) - min(times) <= 1


def test_a_part_of_a_source_is_another_part_with_another_seed() -> None:
    all_rows = rows(a=50, b=50)
    epochs = [{row["id"] for row in mix(all_rows, ["a", "b"], [0.9, 0.1], seed=seed)} for seed in range(30)]
    assert len(set().union(*epochs)) == 100


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="1 data weights for 2 sources"):
        mix(rows(a=1, b=1), ["a", "b"], [1.0], seed=0)
    with pytest.raises(DataError, match="source 'b' has no training rows but a weight"):
        mix(rows(a=10), ["a", "b"], [0.5, 0.5], seed=0)
    assert len(mix(rows(a=10), ["a", "b"], [1.0, 0.0], seed=0)) == 10
