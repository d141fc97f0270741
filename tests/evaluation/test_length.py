"""Longer answers do not win by their length."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.domain.outcome import Item
from tunewright.tools.evaluation.length import length_controlled


def items(scores: list[float], words: list[int]) -> list[Item]:
    return [
        Item(id=str(at), score=score, prediction=" ".join(["x"] * count), target="x")
        for at, (score, count) in enumerate(zip(scores, words, strict=True))
    ]


def test_filler_does_not_beat_the_same_answer() -> None:
    """Scores rise with the length alone: the padded side scores higher, and no better at equal length."""
    rng = np.random.default_rng(0)
    short = rng.integers(3, 30, 200).tolist()
    long = [count * 2 for count in short]
    padded = items([0.2 * float(np.log1p(count)) for count in long], long)
    plain = items([0.2 * float(np.log1p(count)) for count in short], short)
    assert sum(a.score - b.score for a, b in zip(padded, plain, strict=True)) / 200 > 0.1
    gain, low, high = length_controlled(padded, plain)
    assert gain == pytest.approx(0, abs=1e-9) and low <= 0 <= high


def test_a_real_gain_stays() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(3, 30, 100).tolist()
    worse = rng.random(100).tolist()
    gain, low, high = length_controlled(items([one + 0.3 for one in worse], counts), items(worse, counts))
    assert gain == pytest.approx(0.3) and low > 0.25 and high < 0.35


def test_equal_lengths_change_nothing_and_the_sign_turns() -> None:
    a, b = items([1.0, 0.0, 1.0], [4, 4, 4]), items([0.0, 0.0, 1.0], [4, 4, 4])
    assert length_controlled(a, b)[0] == pytest.approx(1 / 3)
    assert length_controlled(a, b, sign=-1)[0] == pytest.approx(-1 / 3)
    assert length_controlled(a, a) == (0, 0, 0)


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        length_controlled([], [])
