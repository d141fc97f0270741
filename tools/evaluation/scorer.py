"""What scorers are built from. Each scorer is one file in ``scorers/``; ``registry`` finds it by its name."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tunewright.domain.outcome import Item
from tunewright.domain.task import TaskSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Resampling(Protocol):
    """What a scorer may offer besides the domain's ``Scorer``: its aggregate over many resamples at once.

    Without it, statistics call ``aggregate`` once a resample, and take fewer of them.
    """

    def resample(self, items: Sequence[Item], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The aggregate of each resample.

        Args:
            items: N scored rows.
            counts: (R, N), how often each item is in each resample.

        Returns:
            (R,) values; row i equals ``aggregate`` of the items repeated ``counts[i]`` times.
        """


class MeanScorer:
    """A scorer whose metric is the mean of its items' scores. Subclasses set the facts and say ``score``."""

    name: str
    direction: Literal["max", "min"] = "max"
    needs: Literal["labels", "generation", "loss", "preference"] = "generation"
    best: float | None = None
    """The metric's best value that there is; None where there is none, or nobody said."""
    follows_mean = False
    """Of a metric that is no mean: whether it only depends on the mean of the items' scores, and grows with it."""

    def check(self, task: TaskSpec, rows: Sequence[Mapping[str, Any]]) -> None:
        """Called once before the first row is scored, where a missing package or column is still a clear error.

        Raises:
            UsageError: this task cannot be scored by this scorer.
            DataError: a row lacks what the scorer reads.
        """

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        raise NotImplementedError(f"scorer '{self.name}' says no score")

    def aggregate(self, items: Sequence[Item]) -> float:
        # fsum does not depend on the order of the items.
        return math.fsum(item.score for item in items) / len(items)

    def resample(self, items: Sequence[Item], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        scores = np.array([item.score for item in items], dtype=np.float64)
        means: NDArray[np.float64] = (counts @ scores) / counts.sum(axis=1)
        return means


def is_mean(scorer: object) -> bool:
    """Whether the scorer's metric is the mean of its items' scores."""
    return isinstance(scorer, MeanScorer) and type(scorer).resample is MeanScorer.resample


def follows_mean(scorer: object) -> bool:
    """Whether the metric grows with the mean of its items' scores, and depends on nothing else."""
    return is_mean(scorer) or bool(getattr(scorer, "follows_mean", False))


_PUNCTUATION = str.maketrans("", "", string.punctuation)


def spaced(text: str) -> str:
    """``text`` with every run of white space as one blank, and none at the ends."""
    return " ".join(text.split())


def words(text: str) -> list[str]:
    """The words of ``text`` in lower case, without ASCII punctuation."""
    return text.lower().translate(_PUNCTUATION).split()


def f1(common: float, predicted: float, expected: float) -> float:
    """Harmonic mean of precision and recall; two empty sides agree."""
    total = predicted + expected
    return 2 * common / total if total else 1.0
