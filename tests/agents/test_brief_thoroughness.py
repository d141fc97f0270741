"""A brief may want every trial of a number, or at most so many."""

from __future__ import annotations

import pytest

from tunewright.agents.brief.text import Text
from tunewright.agents.brief.thoroughness import read_every_trial


@pytest.mark.parametrize(
    ("words", "every"),
    [
        ("Exactly 20 trials.", True),
        ("Run 12 trials.", True),
        ("Do all 8 runs.", True),
        ("At least 30 trials, at most 2 hours.", True),
        ("Use the whole budget.", True),
        ("do not stop early", True),
        ("At most 30 minutes and 12 trials.", False),
        ("Run at most 12 trials.", False),
        ("up to 40 trials", False),
        ("12 trials, 20 minutes", False),
        ("Run 2 trials at a time.", False),
        ("All labels matter. 30 minutes.", False),
    ],
)
def test_a_number_is_wanted_or_a_limit(words: str, every: bool) -> None:
    text = Text(words)
    assert read_every_trial(text) == every
    assert text.rest == text.text, "the number is the budget's"
