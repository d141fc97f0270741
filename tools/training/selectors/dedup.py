"""Rows without their near duplicates. Lee et al., arXiv 2107.06499.

Two ways to say that rows are nearly the same: ``minhash`` by the runs of characters that they share (exact Jaccard
similarity; MinHash only finds what to compare), ``embedding`` by the cosine of the model's last states, one pass over
the rows. The latter is the diversity filter of Deita (Liu et al., arXiv 2312.15685, tau 0.9), whose scorers of
complexity and quality are models of their own and are not here. The first of what is alike stays.

``keep`` is an upper bound: where more rows are left, a random part of them stays. A stage's length in epochs counts
``keep`` of the rows there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.data.rows import Row
from tunewright.tools.training.embedding import apart, embeddings
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.minhash import distinct
from tunewright.tools.training.selector import Choosing, SelectorMethod, Work, part

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded


class DedupConfig(MethodConfig):
    """Settings of deduplication."""

    by: Literal["minhash", "embedding"] = "minhash"
    """What is compared: runs of characters, or what the model makes of the row."""
    threshold: float = Field(0.8, gt=0, le=1)
    """Similarity from which rows count as the same: of shared runs at least, of the cosine more than that. At 1 only
    equal texts are left out, and by the cosine none."""
    of: Literal["row", "input"] = "row"
    """Compare input and answer together, or inputs alone. By embedding it is always the whole row."""
    shingle: int = Field(5, ge=1)
    """Length of a run, in characters."""


class Dedup(SelectorMethod):
    """Leaves out what was there before."""

    kind = "dedup"
    summary = "leave out exact and near duplicates, by their text or by the model's embedding of them"
    paper = "arXiv 2107.06499"
    names = ("deduplication", "deduplicate", "de-duplication", "MinHash", "near-duplicate removal")
    Config = DedupConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """How alike is too alike."""
        return [
            Choice(
                name=f"threshold.{self.kind}",
                path=f"{stage}.data.selection.threshold",
                options=(0.7, 0.8, 0.9),
                default=0.8,
                why="0.8 of shared n-grams in arXiv 2107.06499 (range ours)",
            )
        ]

    def passes(self, settings: Any, work: Work) -> float:
        """None by text, one by embedding."""
        return 1.0 if settings.by == "embedding" else 0.0

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """The first of each group of rows that are alike."""
        settings = choosing.settings
        if settings.by == "embedding":
            left = apart(embeddings(choosing.model, encoded, choosing.precision, choosing.check), settings.threshold)
        else:
            texts = [row["input"] + (f"\n{row['target']}" if settings.of == "row" else "") for row in rows]
            left = distinct(texts, settings.threshold, settings.shingle, choosing.seed, choosing.check)
        return part(left, choosing.most(len(rows)), choosing.seed)


METHOD = Dedup()
