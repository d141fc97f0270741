"""Several goals at once: the trials that no other beats in all of them, for people."""

from __future__ import annotations

from dataclasses import dataclass

from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.tools.analysis.words import quantity_amount, quantity_name, recipe_words


@dataclass(frozen=True)
class Front:
    """A table: a trial on the front a row, the metric and each goal a column."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def front_table(study: Study) -> Front | None:
    """None where the brief has one goal, or nothing was measured."""
    found = summarise(study).front
    if study.task is None or not found:
        return None
    goals, winner = study.task.goals, study.finished.winner if study.finished else None
    head = ("run", "recipe", study.task.metric.name, *(quantity_name(goal.quantity) for goal in goals))
    rows = tuple(
        (
            f"{one.trial}, the winner" if one.trial == winner else one.trial,
            recipe_words(study.recipe_of(one.trial).recipe),
            f"{one.score:.3f}",
            *(quantity_amount(goal.quantity, one.measured[goal.quantity]) for goal in goals),
        )
        for one in found
    )
    return Front(head, rows)
