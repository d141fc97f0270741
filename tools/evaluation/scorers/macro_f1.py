"""Mean over classes of the F1 score: a rare label counts as much as a common one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tunewright.domain.outcome import Item
from tunewright.tools.evaluation.scorer import MeanScorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MacroF1(MeanScorer):
    """An item's score is whether it is right; the metric is no mean of those.

    Classes are those that occur as target or prediction in the sample, as in scikit-learn.
    """

    name = "macro_f1"
    best = 1.0
    needs: Literal["labels"] = "labels"

    def score(self, prediction: str, row: Mapping[str, Any]) -> float:
        return float(prediction == row["target"])

    def aggregate(self, items: Sequence[Item]) -> float:
        import numpy as np

        return float(self.resample(items, np.ones((1, len(items))))[0])

    def resample(self, items: Sequence[Item], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        classes = sorted({item.target for item in items} | {item.prediction for item in items})
        index = {name: i for i, name in enumerate(classes)}
        # (N, C), one hot
        truth = np.eye(len(classes))[[index[item.target] for item in items]]
        guess = np.eye(len(classes))[[index[item.prediction] for item in items]]
        right, total = counts @ (truth * guess), counts @ (truth + guess)
        each = np.divide(2 * right, total, out=np.zeros_like(total), where=total > 0)
        means: NDArray[np.float64] = each.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1)
        return means


SCORER = MacroF1()
