"""DSIR: rows that read like the target, by importance resampling. Xie et al., arXiv 2302.03169, sections 3 and 4.

With ``q`` and ``p`` the distributions of hashed words and pairs of words in the target and in all rows::

    log w_i = sum_b counts_i[b] (log q_b - log p_b)
    kept    = the k highest of  log w_i + Gumbel noise        sampling without replacement in proportion to w

The target is a part of the training rows that is held out by content and not trained on. Which sources it comes from is
a setting; with all of them the rows most like the average are kept. The paper's code adds 1e-8 to probabilities, which
asks for a target of millions of words; ours adds a pseudo-count to each bucket. Rows below 100 words, which that code
leaves out, are kept. Without noise (``resample`` off) the most alike are taken.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.selector import Choosing, SelectorMethod, highest
from tunewright.tools.training.targets import TargetConfig, check_target, targets

if TYPE_CHECKING:
    from tunewright.domain.recipe import Stage
    from tunewright.domain.task import TaskSpec
    from tunewright.tools.models.prompt import Encoded

_WORD = re.compile(r"\w+|[^\w\s]+")


class DsirConfig(TargetConfig):
    """Settings of DSIR."""

    buckets: int = Field(10_000, ge=2)
    """Into how many numbers words and pairs are hashed."""
    smoothing: float = Field(0.01, gt=0)
    """Pseudo-count of each bucket."""
    resample: bool = True
    """Draw rows in proportion to how alike they are; else take the most alike."""


class Dsir(SelectorMethod):
    """Counts words."""

    kind = "dsir"
    summary = "rows that read like the target sources, by their words alone: no pass of the model"
    paper = "arXiv 2302.03169"
    names = ("DSIR", "importance resampling")
    Config: type[MethodConfig] = DsirConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Whether rows are drawn or the most alike taken."""
        return [
            Choice(
                name=f"resample.{self.kind}",
                path=f"{stage}.data.selection.resample",
                options=(True, False),
                default=True,
                why="drawn in the paper, which keeps rows diverse; its code can take the top k too",
            )
        ]

    def check(self, stage: Stage, task: TaskSpec | None = None) -> None:
        """Whether the target sources are there."""
        check_target(self.kind, stage.data.selection.settings.get("target", ()), task)

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """Of the rows that are not held out, those most like the ones that are."""
        import numpy

        settings: Any = choosing.settings
        held = set(targets(rows, settings))
        pool = [index for index in range(len(rows)) if index not in held]
        counts = [_counts(rows[index], settings.buckets) for index in range(len(rows))]
        log_q, log_p = (
            log_distribution([counts[index] for index in of], settings.buckets, settings.smoothing)
            for of in (sorted(held), range(len(rows)))
        )
        ratio = log_q - log_p
        scores = numpy.array([importance(counts[index], ratio) for index in pool])
        if settings.resample:
            scores = scores + gumbel(len(pool), choosing.seed)
        return [pool[place] for place in highest(scores.tolist(), choosing.most(len(rows)))]


def ngrams(text: str) -> list[str]:
    """The words of a text in lower case, and its pairs of neighbouring words."""
    words = _WORD.findall(text.lower())
    return [*words, *(f"{one} {other}" for one, other in itertools.pairwise(words))]


def log_distribution(counts: Sequence[dict[int, int]], buckets: int, smoothing: float) -> Any:
    """(buckets,): ``log (c_b + s) / (sum c + s buckets)``."""
    import numpy

    total = numpy.full(buckets, smoothing)
    for one in counts:
        for bucket, count in one.items():
            total[bucket] += count
    return numpy.log(total / total.sum())


def importance(counts: dict[int, int], ratio: Any) -> float:
    """``log w`` of a row."""
    return float(sum(count * ratio[bucket] for bucket, count in counts.items()))


def gumbel(count: int, seed: int) -> Any:
    """(count,) draws from the standard Gumbel distribution."""
    import numpy

    return numpy.random.default_rng(seed).gumbel(size=count)


def _counts(row: Row, buckets: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for gram in ngrams(f"{row['input']} {row['target']}"):
        bucket = _hash(gram) % buckets
        found[bucket] = found.get(bucket, 0) + 1
    return found


@lru_cache(maxsize=2**20)
def _hash(gram: str) -> int:
    return int.from_bytes(hashlib.sha256(gram.encode("utf-8", "surrogatepass")).digest()[:8], "big")


METHOD = Dsir()
