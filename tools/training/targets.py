"""The rows that a choice is made for: held out of the training rows of the sources that count as the target."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from tunewright.domain.errors import UsageError, unknown_name
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.training.holdout import HELD_OUT, held_out
from tunewright.tools.training.method import MethodConfig


class TargetConfig(MethodConfig):
    """Settings of every choice that is made for a target."""

    target: tuple[str, ...] = ()
    """Names of the sources whose rows the choice is made for; empty means all of them."""
    hold_out: float = Field(HELD_OUT, gt=0, lt=1)
    """Share of the target sources' rows that are held out for it and not trained on."""
    most_held: int = Field(256, ge=1)
    """No more than so many are held out of each source."""


def targets(rows: Sequence[Row], settings: TargetConfig) -> list[int]:
    """Indices of the rows that are held out, ascending.

    Raises:
        UsageError: there are none.
    """
    found: list[int] = []
    for name in settings.target or dict.fromkeys(row["source"] for row in rows):
        of = [index for index, row in enumerate(rows) if row["source"] == name]
        found += [of[place] for place in held_out([rows[index] for index in of], settings.hold_out, settings.most_held)]
    if not found:
        named = ", ".join(settings.target) or "all sources"
        raise UsageError(
            f"no row can be held out of {len(rows)} training rows as the target ({named})",
            "name sources that have at least two different rows each",
        )
    return sorted(found)


def check_target(kind: str, names: Sequence[str], task: TaskSpec | None) -> None:
    """Whether the task has these sources.

    Raises:
        UnknownNameError: it does not.
    """
    known = [source.name for source in task.sources] if task is not None else list(names)
    for name in names:
        if name not in known:
            raise unknown_name(f"target source of '{kind}'", name, known)
