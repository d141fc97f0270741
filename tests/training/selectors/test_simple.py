"""Selections without a model: everything, a random part, by length."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.training.chosen import select
from tests.training.planted import row

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Recipe
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.registry import check_recipe, selectors
from tunewright.tools.training.selector import highest, part

ROWS = [row(n, "ab"[n % 2], "x" * (n % 5), "y" * (1 + n % 7)) for n in range(21)]


def recipe(keep: float = 1.0, kind: str = "all", **stage: object) -> Recipe:
    data = {"selection": {"kind": kind, "keep": keep}, **stage}
    return Recipe.model_validate({"stages": [{"data": data, "optimisation": {"lr": 1e-3, "steps": 1}}]})


def test_all_keeps_all_and_no_part(tiny: Found) -> None:
    assert select(tiny, ROWS, "all", 1.0) == list(range(21))
    check_recipe(recipe())
    with pytest.raises(UsageError, match="keeps every row, and keep is") as caught:
        check_recipe(recipe(0.5))
    assert "'random'" in caught.value.hint


def test_random_keeps_a_share_that_the_seed_decides(tiny: Found) -> None:
    kept = select(tiny, ROWS, "random", 0.5, seed=1)
    assert len(kept) == 10 and kept == sorted(set(kept))
    assert kept == select(tiny, ROWS, "random", 0.5, seed=1) != select(tiny, ROWS, "random", 0.5, seed=2)
    assert select(tiny, ROWS, "random", 0.01) != [], "one at least"
    assert select(tiny, ROWS, "random", 1.0) == list(range(21))


def test_random_prefers_no_row() -> None:
    """Chi-square over 2000 draws of 3 of 6: the 99.9 % quantile for 5 degrees of freedom is 20.5; without replacement
    the statistic is smaller still."""
    seen = Counter(one for seed in range(2000) for one in part(range(6), 3, seed))
    assert sum((seen[one] - 1000) ** 2 / 1000 for one in range(6)) < 20.5


def test_length_sorts_by_tokens(tiny: Found) -> None:
    """A token is a letter; the rows of seven are 6, 13 and 20, those of six 5, 12 and 19."""
    assert select(tiny, ROWS, "length", 3 / 21) == [6, 13, 20]
    assert select(tiny, ROWS, "length", 4 / 21) == [5, 6, 13, 20], "of equal lengths the first"
    assert select(tiny, ROWS, "length", 3 / 21, prefer="short") == [0, 7, 14]
    whole = select(tiny, ROWS, "length", 1 / 21, of="row")
    assert whole == [max(range(21), key=lambda n: n % 5 + n % 7)]


def test_highest_takes_the_first_of_equals() -> None:
    assert highest([1.0, 3.0, 3.0, 2.0], 2) == [1, 2]
    assert highest([3.0, 1.0, 3.0, 3.0], 2) == [0, 2]
    assert highest([], 3) == []


@pytest.mark.parametrize("kind", selectors())
def test_what_has_no_setting_is_refused_by_name(kind: str) -> None:
    with pytest.raises(UsageError, match=f"'{kind}' has no setting 'no_such'"):
        check_recipe(recipe(1.0, kind, selection={"kind": kind, "no_such": 1}))


def test_what_is_for_answers_is_refused_elsewhere() -> None:
    for kind in ("less", "dwm"):
        stage = {
            "objective": {"kind": "dpo"},
            "data": {"selection": {"kind": kind}},
            "optimisation": {"lr": 1e-3, "steps": 1},
        }
        with pytest.raises(UsageError, match=f"'{kind}' cannot choose rows for 'dpo'"):
            check_recipe(Recipe.model_validate({"stages": [stage]}))
