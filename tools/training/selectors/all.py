"""Every row: nothing is chosen. What a recipe takes that says nothing of selection, and the yardstick of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Stage
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.training.selector import Choosing, SelectorMethod

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class All(SelectorMethod):
    """Leaves no row out."""

    kind = "all"
    summary = "train on every row: the default"
    paper = "the baseline of every paper on selection"
    names = ("no selection", "every row", "all rows", "all the data")
    plain_word = True

    def check(self, stage: Stage, task: TaskSpec | None = None) -> None:
        """It cannot keep a part."""
        keep = stage.data.selection.keep
        if keep < 1:
            raise UsageError(
                f"the selection 'all' keeps every row, and keep is {keep:g}",
                "take 'random' for a random part of the rows, or another selection such as 'ifd'",
            )

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """All of them."""
        return range(len(rows))


METHOD = All()
