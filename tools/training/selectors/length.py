"""The longest or the shortest rows. Zhao et al., "Long Is More for Alignment", arXiv 2402.04833.

The paper fine-tunes on the 1000 longest answers of a set of instructions and finds that hard to beat. Short rows, and
lengths of whole rows, are ours: short rows cost less each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.selector import Choosing, SelectorMethod, highest

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class LengthConfig(MethodConfig):
    """Settings of the selection by length."""

    prefer: Literal["long", "short"] = "long"
    """Which end of the lengths stays."""
    of: Literal["answer", "row"] = "answer"
    """What is measured, in tokens: the answer, or prompt and answer together."""


class Length(SelectorMethod):
    """Sorts by tokens."""

    kind = "length"
    summary = "the rows with the longest answers: for open answers, whose length says how much they teach"
    paper = "arXiv 2402.04833"
    names = ("longest answers", "longest rows", "selection by length", "length selection")
    plain_word = True
    Config = LengthConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Which end stays."""
        return [
            Choice(
                name=f"prefer.{self.kind}",
                path=f"{stage}.data.selection.prefer",
                options=("long", "short"),
                default="long",
                why="the longest in arXiv 2402.04833; short rows buy more of them for the same bill (ours)",
            )
        ]

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """Those at the end that is preferred; of equal lengths those that come first."""
        sign = 1.0 if choosing.settings.prefer == "long" else -1.0
        whole = choosing.settings.of == "row"
        lengths = [sign * (len(one.completion) + (len(one.prompt) if whole else 0)) for one in encoded]
        return highest(lengths, choosing.most(len(rows)))


METHOD = Length()
