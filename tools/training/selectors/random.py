"""A random part of the rows: what "half of the data" means, and what a clever selection has to beat at the same size.

Uniform without replacement, from the recipe's seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunewright.tools.data.rows import Row
from tunewright.tools.training.selector import Choosing, SelectorMethod, part

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class Random(SelectorMethod):
    """Draws rows."""

    kind = "random"
    summary = "a random part of the rows, at no cost: what other selections have to beat"
    paper = "the baseline of every paper on selection"
    names = ("random rows", "random subset", "random selection", "random sample", "random part")
    plain_word = True

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """As many as may stay."""
        return part(range(len(rows)), choosing.most(len(rows)), choosing.seed)


METHOD = Random()
