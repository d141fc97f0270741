"""Instruction-following difficulty: how little the prompt helps with the answer. Li et al., "Cherry LLM",
arXiv 2308.12032, equations 1 to 3.

``IFD = mean_t -log p(y_t | x, y_<t) / mean_t -log p(y_t | y_<t)`` under the model at the stage's start. Above 1 the
prompt does not belong to the answer, and the row is left out; of the others the highest stay, which have most to teach.
The answer alone begins after what begins a text for this model, so its first token counts too; the paper's code leaves
that one out. The paper warms the model up on a few clusters of rows first; ours takes the stage's model as it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import UsageError
from tunewright.tools.data.rows import Row
from tunewright.tools.training.rowloss import row_losses
from tunewright.tools.training.selector import Choosing, SelectorMethod, Work, highest

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class Ifd(SelectorMethod):
    """Compares each answer's loss with and without its prompt."""

    kind = "ifd"
    summary = "rows whose prompt helps least with their answer, mismatched ones left out; two passes over the rows"
    paper = "arXiv 2308.12032"
    names = ("IFD", "instruction-following difficulty", "Cherry", "Cherry LLM", "Superfiltering")

    def passes(self, settings: Any, work: Work) -> float:
        """One with prompts, one without."""
        return 2.0

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """The highest that are not above 1.

        Raises:
            UsageError: the rows are raw text, which has no prompts.
        """
        if all(row.get("raw") for row in rows):
            raise UsageError("'ifd' compares prompts, and these rows are raw text", "take 'loss_band' or 'dsir'")
        begins = choosing.form.lead or [choosing.form.end]
        alone = [dataclasses.replace(one, prompt=list(begins)) for one in encoded]
        given, bare = (
            row_losses(choosing.model, ones, choosing.precision, choosing.check) for ones in (encoded, alone)
        )
        return kept(difficulties(given, bare), choosing.most(len(rows)))


def difficulties(given: Sequence[float], bare: Sequence[float]) -> list[float]:
    """Of each row, its mean loss with the prompt over that without; not a number where the answer is certain alone."""
    return [one / other if other > 0 else math.nan for one, other in zip(given, bare, strict=True)]


def kept(scores: Sequence[float], most: int) -> list[int]:
    """Indices of the ``most`` highest scores that are not above 1, ascending."""
    usable = [score if score <= 1 else -math.inf for score in scores]
    return [index for index in highest(usable, most) if usable[index] > -math.inf]


METHOD = Ifd()
