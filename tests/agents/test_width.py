"""How many trials run side by side, in the words of a brief; a width is no budget."""

from __future__ import annotations

import pytest

from tunewright.agents.brief import spoken_budget, spoken_width
from tunewright.agents.brief.text import Text
from tunewright.agents.brief.width import read_width
from tunewright.domain.task import Brief


@pytest.mark.parametrize(
    ("words", "width", "trials"),
    [
        ("Run 2 trials at a time. At most 10 minutes and 8 trials.", 2, 8),
        ("two runs in parallel, at most 30 minutes", 2, None),
        ("At most 12 trials, 3 at a time.", 3, 12),
        ("up to four parallel trials, 20 minutes", 4, None),
        ("At most 30 minutes and 12 trials.", None, 12),
        ("0 trials at a time, at most 12 trials", None, 12),
    ],
)
def test_a_width_is_read_and_not_taken_for_a_budget(words: str, width: int | None, trials: int | None) -> None:
    brief = Brief(text=words)
    assert spoken_width(brief) == width
    if width is not None:
        budget = spoken_budget(brief)
        assert budget is not None and budget.trials == trials


def test_what_was_read_is_not_called_unused() -> None:
    text = Text("Run 2 trials at a time.")
    assert read_width(text) == 2 and text.unused() == ()
