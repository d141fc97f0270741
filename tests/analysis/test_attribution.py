"""Bad-case attribution: planted causes are found, chance is not, and every group looked at is paid for."""

from __future__ import annotations

import random

import pytest

from tunewright.domain.outcome import Item
from tunewright.tools.analysis.attribution import LEAST, attribute


def items(wrong: set[int], count: int = 300, labels: int = 5) -> list[Item]:
    return [
        Item(id=f"i{at}", score=float(at not in wrong), prediction="?", target=f"label {at % labels}")
        for at in range(count)
    ]


def inputs(count: int = 300) -> dict[str, str]:
    rng = random.Random(1)
    words = ("parcel", "invoice", "broken", "late", "colour", "where", "please")
    return {f"i{at}": " ".join(rng.choice(words) for _ in range(2 + at % 9)) for at in range(count)}


def test_a_planted_label_comes_first_with_its_share_and_lift() -> None:
    wrong = {at for at in range(300) if at % 5 == 2 and at % 15 != 2} | {1, 3, 9}
    found = attribute(items(wrong), inputs(), direction="max")
    first = found.slices[0]
    assert (first.by, first.name, first.rows, first.failed) == ("label", "label 2", 60, 40)
    assert (
        first.p < 1e-6 and first.low < first.share < first.high and first.lift == pytest.approx((40 / 60) / (3 / 240))
    )
    assert found.failed == 43 and found.looked_at > len([one for one in found.slices if one.by == "label"])
    assert all(item in {f"i{at}" for at in wrong} for item in first.worst)


def test_a_planted_word_and_a_planted_length_are_found() -> None:
    text = {f"i{at}": ("kaputt " if at % 20 == 0 else "") + "a text that is plain" for at in range(300)}
    by_word = attribute(items({at for at in range(300) if at % 20 == 0}), text, direction="max", by=("words",))
    assert by_word.slices[0].name == "kaputt" and by_word.slices[0].lift == float("inf")
    sized = {f"i{at}": "x" * (10 + at) for at in range(300)}
    by_length = attribute(items(set(range(240, 300))), sized, direction="max", by=("length",))
    assert by_length.slices[0].name == "250 to 309" and by_length.looked_at == 5


def test_chance_is_not_told_as_a_cause() -> None:
    hits = 0
    for seed in range(20):
        rng = random.Random(seed)
        found = attribute(items({at for at in range(300) if rng.random() < 0.2}), inputs(), direction="max")
        hits += any(one.p < 0.05 for one in found.slices)
    assert hits <= 3, "one study in twenty may see what is not there"


def test_scores_that_are_not_right_or_wrong_fail_in_their_worst_quarter() -> None:
    scored = [Item(id=f"i{at}", score=at / 100, prediction="", target="t") for at in range(100)]
    up, down = (attribute(scored, {}, direction=direction) for direction in ("max", "min"))  # type: ignore[arg-type]
    assert (up.failed, down.failed) == (25, 25) and up.rule != down.rule and "worst quarter" in up.rule
    assert up.slices == (), "one label and no inputs: there is nothing to compare"


def test_groups_that_are_small_or_nearly_all_are_not_looked_at() -> None:
    few = items({0, 1}, count=LEAST + 3, labels=2)
    assert attribute(few, {}, direction="max").looked_at == 0
    free = [Item(id=f"i{at}", score=1.0, prediction="", target=f"an answer {at}") for at in range(300)]
    assert attribute(free, {}, direction="max").looked_at == 0, "free text is no label"


def test_the_same_items_give_the_same_slices_in_any_order() -> None:
    made, texts = items({at for at in range(300) if at % 7 == 0}), inputs()
    shuffled = random.Random(2).sample(made, len(made))
    assert attribute(made, texts, direction="max") == attribute(shuffled, texts, direction="max")
