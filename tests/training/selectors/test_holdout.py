"""Rows held out: by content, copies together, whatever their order."""

from __future__ import annotations

import random

import pytest
from tests.training.chosen import task
from tests.training.planted import mixed, row

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.tools.training.holdout import held_out
from tunewright.tools.training.objectives import alphatoken
from tunewright.tools.training.targets import TargetConfig, check_target, targets

ROWS = mixed(clean=50, noise=0)


def contents(rows: list, places: list[int]) -> set[str]:
    return {rows[place]["input"] for place in places}


def test_a_share_of_the_rows_whatever_their_order() -> None:
    found = held_out(ROWS, 0.2)
    assert len(found) == 20 and found == sorted(found)
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    assert contents(shuffled, held_out(shuffled, 0.2)) == contents(ROWS, found)
    assert len(held_out(ROWS, 0.2, most=7)) == 7
    assert contents(ROWS, held_out(ROWS, 0.2, most=7)) < contents(ROWS, found)


def test_copies_are_never_parted() -> None:
    doubled = [*ROWS, *ROWS]
    found = held_out(doubled, 0.2)
    assert len(found) == 40 and {place % 100 for place in found} == set(held_out(ROWS, 0.2))


@pytest.mark.parametrize(("count", "held"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_one_is_held_out_and_one_is_not(count: int, held: int) -> None:
    assert len(held_out(ROWS[:count], 0.01)) == held
    assert len(held_out(ROWS[:count], 0.99)) == max(0, count - 1)


def test_an_objective_holds_other_rows_out() -> None:
    """Else a selection on top of it would find none of its own."""
    ours = set(held_out(ROWS, 0.2))
    theirs = {place for place, one in enumerate(ROWS) if alphatoken.held_out(one, 0.2)}  # type: ignore[arg-type]
    assert 0 < len(ours & theirs) < 12, "about a fifth of a fifth, were they independent"


def test_targets_are_of_the_sources_named() -> None:
    rows = mixed(clean=20, noise=20)
    named = targets(rows, TargetConfig(target=("two",), hold_out=0.1))
    assert len(named) == 2 and {rows[place]["source"] for place in named} == {"two"}
    every = targets(rows, TargetConfig(hold_out=0.1))
    assert [rows[place]["source"] for place in every].count("noise") == 2 and len(every) == 6
    assert len(targets(rows, TargetConfig(hold_out=0.5, most_held=3))) == 9


def test_no_target_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="no row can be held out of 1 training rows") as caught:
        targets([row(0, "one", "a", "b")], TargetConfig())
    assert "two different rows" in caught.value.hint
    with pytest.raises(UnknownNameError, match="unknown target source of 'dsir' 'tow'") as caught:
        check_target("dsir", ["tow"], task(["one", "two"]))
    assert "'two'" in caught.value.hint
    check_target("dsir", ["anything"], None)
