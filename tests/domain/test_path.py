"""Dotted paths: what is put is got, everything else stays, and a wrong path is an error that names it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.domain.path import get, put

DOCUMENT = {"seed": 0, "stages": [{"optimisation": {"lr": 1e-4}, "data": {"weights": [0.5, 0.5]}}]}
_NAMES = st.text("abcxyz_", min_size=1, max_size=4)
_VALUES = st.recursive(st.none() | st.booleans() | st.integers() | _NAMES, lambda inner: st.lists(inner, max_size=3))


@given(st.lists(_NAMES, min_size=1, max_size=4), _VALUES)
def test_what_is_put_is_got(keys: list[str], value: Any) -> None:
    path = ".".join(keys)
    assert get(put({}, path, value), path) == value


@given(_VALUES)
def test_putting_leaves_the_original_and_everything_else(value: Any) -> None:
    before = copy.deepcopy(DOCUMENT)
    after = put(DOCUMENT, "stages.0.optimisation.lr", value)
    assert before == DOCUMENT
    assert put(after, "stages.0.optimisation.lr", 1e-4) == DOCUMENT


def test_a_result_shares_nothing_with_what_it_came_from() -> None:
    after = put(DOCUMENT, "seed", 1)
    after["stages"][0]["data"]["weights"].append(1)
    assert DOCUMENT["stages"][0]["data"]["weights"] == [0.5, 0.5]  # type: ignore[index]  a plain document


@pytest.mark.parametrize(
    "path",
    ["nothing", "stages.1", "stages.one", "stages.0.nothing", "seed.deeper", "stages.0.optimisation.lr.deeper", ""],
)
def test_getting_what_is_not_there_names_the_path(path: str) -> None:
    with pytest.raises(KeyError) as told:
        get(DOCUMENT, path)
    assert told.value.args[0] == path


@pytest.mark.parametrize("path", ["stages.1.optimisation", "stages.one.lr", "seed.deeper", "stages.0.data.weights.x"])
def test_putting_where_nothing_can_be_names_the_path(path: str) -> None:
    with pytest.raises(KeyError) as told:
        put(DOCUMENT, path, 1)
    assert told.value.args[0] == path


def test_missing_mappings_are_made() -> None:
    assert put({}, "stages.0.lr", 1) == {"stages": {"0": {"lr": 1}}}
    assert put(DOCUMENT, "stages.0.adapter.r", 8)["stages"][0]["adapter"] == {"r": 8}


def test_items_of_lists_are_reached_by_number() -> None:
    assert get(DOCUMENT, "stages.0.data.weights.1") == 0.5
    assert put(DOCUMENT, "stages.0.data.weights.1", 0.9)["stages"][0]["data"]["weights"] == [0.5, 0.9]
