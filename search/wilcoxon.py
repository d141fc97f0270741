"""Whether a candidate is worse than another on the same items, by Optuna's ``WilcoxonPruner``: for anybody who has
scores of both and wants to stop scoring early. It knows no study of ours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

P = 0.05
"""Of one look. Half of Optuna's default, since there are several looks; ``benchmarks/search/items.py``."""
LEAST_ROWS = 20


class WilcoxonRule:
    """Optuna's paired signed-rank test.

    Args:
        p: below which the candidate is behind.
        least_rows: items before it is asked at all.
    """

    def __init__(self, p: float = P, least_rows: int = LEAST_ROWS) -> None:
        self.p, self._least = p, least_rows
        self._pruner: BasePruner | None = None

    def behind(self, mine: Sequence[float], theirs: Sequence[float], *, maximise: bool) -> bool:
        """Whether the candidate is worse beyond chance. Never if its mean over these items is as good.

        Args:
            mine: the candidate's scores; finite.
            theirs: the other's, of the same items in the same order.
        """
        if len(mine) != len(theirs):
            raise ValueError(f"scores of {len(mine)} items cannot be paired with those of {len(theirs)}")
        gain = (np.asarray(mine, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)) * (1 if maximise else -1)
        if len(gain) < self._least or gain.sum() >= 0:
            return False
        return self._asked(gain)

    def _asked(self, gain: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
        """The pruner's answer. The other is told as zeros, and on the same items only: it looks at differences, and
        else would let a candidate go on whose items happen to be easier than those that are still to come."""
        import optuna
        from optuna.trial import TrialState, create_trial

        if self._pruner is None:
            self._pruner = self._opened()
        other = create_trial(value=0.0, intermediate_values=dict.fromkeys(range(len(gain)), 0.0))
        told = {item: float(value) for item, value in enumerate(gain)}
        study = optuna.create_study(direction="maximize")
        study.add_trial(other)
        return bool(self._pruner.prune(study, create_trial(state=TrialState.RUNNING, intermediate_values=told)))

    def _opened(self) -> BasePruner:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.pruners.WilcoxonPruner(p_threshold=self.p, n_startup_steps=self._least)
