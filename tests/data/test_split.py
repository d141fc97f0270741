"""The split by content, as properties that hold for any data."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tunewright.domain.errors import DataError
from tunewright.domain.job import Split
from tunewright.tools.data.split import SHARES, content_id, normalised, split

Pairs = list[tuple[str, str]]
TEXTS = st.text(alphabet="abAB é\n", max_size=3)
ROWS = st.lists(st.tuples(TEXTS, st.sampled_from("xyz")), min_size=1, max_size=40)
SEEDS = st.integers(0, 5)


def sides_of(rows: Pairs, seed: int) -> dict[Split, list[int]]:
    try:
        return split([text for text, _ in rows], [label for _, label in rows], seed=seed)
    except DataError:
        # Refused only where it has to be: an input of each label is trained on, two more are to measure with.
        assert len({normalised(text) for text, _ in rows}) < len({label for _, label in rows}) + 2
        assume(False)
        raise


@given(rows=ROWS, seed=SEEDS)
def test_every_row_is_on_exactly_one_side_and_no_side_is_empty(rows: Pairs, seed: int) -> None:
    sides = sides_of(rows, seed)
    assert sorted(row for side in sides.values() for row in side) == list(range(len(rows)))
    assert all(sides[side] for side in SHARES)


@given(rows=ROWS, seed=SEEDS)
def test_no_input_straddles_the_split(rows: Pairs, seed: int) -> None:
    places = defaultdict(set)
    for side, members in sides_of(rows, seed).items():
        for row in members:
            places[normalised(rows[row][0])].add(side)
    assert all(len(sides) == 1 for sides in places.values())


@given(rows=ROWS, seed=SEEDS, chance=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: Pairs, seed: int, chance: st.DataObject) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types its Random as a strategy's value
    one, two = sides_of(rows, seed), sides_of(shuffled, seed)
    for side in SHARES:
        assert Counter(rows[row] for row in one[side]) == Counter(shuffled[row] for row in two[side])
        inputs = [normalised(rows[row][0]) for row in one[side]]
        assert inputs == [normalised(shuffled[row][0]) for row in two[side]]


@given(rows=ROWS, seed=SEEDS)
def test_a_label_of_one_input_trains(rows: Pairs, seed: int) -> None:
    inputs, sides = defaultdict(set), sides_of(rows, seed)
    for text, label in rows:
        inputs[label].add(normalised(text))
    measured = {rows[row][1] for side in ("val", "test") for row in sides[side]}
    trained = {rows[row][1] for row in sides["train"]}
    for label, texts in inputs.items():
        if len(texts) == 1:
            assert label in trained
            # It may be seen elsewhere only if its one input is there, which it is not: it trains.
            assert label not in measured


@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=20).filter(lambda sizes: sum(sizes) > 40), seed=SEEDS)
def test_every_label_is_split_70_15_15_to_within_two_rows(sizes: list[int], seed: int) -> None:
    rows = [(f"message {number} of {label}", f"label {label}") for label, n in enumerate(sizes) for number in range(n)]
    sides = sides_of(rows, seed)
    for label, size in enumerate(sizes):
        for side, share in SHARES.items():
            got = sum(rows[row][1] == f"label {label}" for row in sides[side])
            assert abs(got - share * size) <= 2
    for side, share in SHARES.items():
        # Every label trains first, so many labels of one row each shift the whole.
        assert abs(len(sides[side]) - share * len(rows)) <= 1 + sizes.count(1)


def test_tiny_labels_are_measured_in_sum_though_none_alone_could_be() -> None:
    rows = [(f"{label} {i}", f"label {label}") for label in range(50) for i in range(2)]
    sides = sides_of(rows, 0)
    assert {side: len(members) for side, members in sides.items()} == {"train": 70, "val": 15, "test": 15}


def test_one_huge_group_does_not_take_the_rows_of_other_labels() -> None:
    rows = [("the same", "spam")] * 900 + [(f"message {i}", "spam") for i in range(100)]
    rows += [(f"other {i}", "ham") for i in range(100)]
    sides = sides_of(rows, 0)
    assert sum(rows[row] == ("the same", "spam") for row in sides["train"]) == 900
    assert 13 <= sum(rows[row][1] == "ham" for row in sides["val"]) <= 17


def test_another_seed_is_another_split() -> None:
    rows = [(f"message {i}", "") for i in range(100)]
    assert set(sides_of(rows, 0)["test"]) != set(sides_of(rows, 1)["test"])
    assert set(sides_of(rows, 0)["test"]) == set(sides_of(rows, 0)["test"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", "x"), ("A ", "x"), ("b", "x")], "3 rows have 2 different inputs, expected at least 3: one to train on"),
        (
            [("a", "x"), ("b", "y"), ("c", "z")],
            "3 rows have 3 different inputs, expected at least 5: one of each of 3 labels",
        ),
    ],
)
def test_too_little_says_how_much_is_needed(rows: Pairs, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        split([text for text, _ in rows], [label for _, label in rows], seed=0)
    assert caught.value.hint


def test_what_counts_as_the_same_content() -> None:
    assert content_id("Hello  there\n", "A") == content_id("hello THERE", "a")
    assert content_id("ﬁne café", "") == content_id("fine cafe\u0301", "")
    assert content_id("ab", "c") != content_id("a", "bc")
    assert len(content_id("", "")) == 16
