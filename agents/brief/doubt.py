"""What the rules ask: only where they would have to guess between readings of the brief that both fit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tunewright.domain.task import Brief
from tunewright.domain.understanding import Question
from tunewright.tools.data.layout import DataFacts, Layout

UNEVEN = 0.8
"""Share of rows with one label from which on the accuracy of always saying it hides what the other labels are like."""
_OPTIONS = 4


def questions_of(
    brief: Brief, layout: Layout, facts: Sequence[DataFacts], metric: str | None, usual: str
) -> tuple[Question, ...]:
    """At most two: which column is the target, and what is measured where one label is on most rows.

    Args:
        facts: of the sources that are measured on.
        metric: as the brief names it; None if it names none.
        usual: what is measured then.
    """
    found: list[Question] = []
    rivals = _rivals(brief, layout, facts)
    if rivals:
        found.append(
            Question(
                id="q1",
                text=f"Which column is to be predicted: {', '.join((layout.target_field, *rivals))}?",
                about="target",
                why="each holds labels, and the brief names none of them",
                assumption=layout.target_field,
                options=(layout.target_field, *rivals)[:_OPTIONS],
            )
        )
    share = facts[0].largest_label if len(facts) == 1 and not rivals else 0.0
    if metric is None and layout.format == "label" and usual == "accuracy" and share >= UNEVEN:
        found.append(
            Question(
                id=f"q{len(found) + 1}",
                text="What counts: accuracy over all rows, or macro F1, in which each label counts the same?",
                about="metric",
                why=f"{share:.0%} of the rows have one label, so always saying it is as accurate as that",
                assumption="accuracy",
                options=("accuracy", "macro F1"),
            )
        )
    return tuple(found)


def _rivals(brief: Brief, layout: Layout, facts: Sequence[DataFacts]) -> tuple[str, ...]:
    """Other columns that could as well be the target; none where the brief has a word for any of them."""
    told = facts[0].layout
    if layout.format != "label" or told is None or told.target_field != layout.target_field:
        return ()
    common = [name for name in facts[0].rivals if all(name in other.columns for other in facts)]
    if any(_named(name, brief.text) for name in (layout.target_field, *common)):
        return ()
    return tuple(common)


def _named(column: str, text: str) -> bool:
    stem = re.escape(column.rstrip("s").replace("_", " "))
    return re.search(rf"(?<!\w){stem}s?(?!\w)", text.replace("_", " "), re.IGNORECASE) is not None
