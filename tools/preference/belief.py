"""What the labels so far say about every pair of the pool, and how much each label said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunewright.domain.frozen import Frozen
from tunewright.tools.preference.laplace import Array, Posterior, averaged, fit, likeliest_lam
from tunewright.tools.preference.pool import Pool

Label = tuple[int, int, float]
"""Numbers of two answers, and 1 where the first is better, 0 where the second is, 0.5 for a tie."""

_TUNINGS = 32
"""The prior's precision is chosen anew when so large a part of the labels is new: it takes several fits."""


class Guess(Frozen):
    """What is believed of one pair."""

    probability: float
    """That the first answer is the better one."""
    mean: float
    """Of the difference in reward, in nats of log odds."""
    variance: float


class Belief:
    """The posterior as labels come and go.

    Args:
        pool: what is labelled.
        lam: the prior's precision; None to take the one under which the labels are most likely.
        labels: what is known already, as ``learn`` is told it.
    """

    def __init__(self, pool: Pool, lam: float | None = None, labels: Sequence[Label] = ()) -> None:
        self.pool = pool
        self._fixed = lam
        self._labels = list(labels)
        self._lams: dict[int, float] = {}
        """Labels that were there -> the precision chosen by them."""
        self.posterior: Posterior = self._fit(self.lam)

    @property
    def lam(self) -> float:
        """The precision of the prior in use."""
        if self._fixed is not None:
            return self._fixed
        count = len(self._labels)
        seen = count - count % max(1, count // _TUNINGS)
        if seen not in self._lams:
            self._lams[seen] = likeliest_lam(*self._arrays(self._labels[:seen]))
        return self._lams[seen]

    def learn(self, label: Label) -> float:
        """Takes in one label; gives what it taught, in bits."""
        before, lam = self.posterior, self.lam
        self._labels.append(label)
        # By the same prior as before: that another one is chosen is no news about the weights.
        taught = self._fit(lam).bits_over(before)
        self.posterior = self._fit(self.lam)
        return taught

    def forget(self) -> None:
        """Takes the last label back."""
        self._labels.pop()
        self._lams = {seen: lam for seen, lam in self._lams.items() if seen <= len(self._labels)}
        self.posterior = self._fit(self.lam)

    def guess(self, first: int, second: int) -> Guess:
        """What is believed of the pair of two answers."""
        difference = self._difference(first, second)[None]
        mean, variance = self.posterior.margin(difference), self.posterior.variance(difference)
        return Guess(probability=float(averaged(mean, variance)[0]), mean=float(mean[0]), variance=float(variance[0]))

    def sure(self, pairs: NDArray[np.bool_]) -> float | None:
        """The share of these pairs whose label is expected to be foreseen; None where there is none.

        The mean probability of the likelier label, which is right as far as the posterior is.

        Args:
            pairs: (M,) which pairs of the pool.
        """
        if not pairs.any():
            return None
        first, second = self.pool.first[pairs], self.pool.second[pairs]
        rewards = self.pool.features @ self.posterior.mean
        points = self.posterior.whitened(self.pool.features)
        chance = averaged(rewards[first] - rewards[second], np.square(points[first] - points[second]).sum(axis=1))
        return float(np.maximum(chance, 1 - chance).mean())

    def _difference(self, first: int, second: int) -> Array:
        found: Array = self.pool.features[first] - self.pool.features[second]
        return found

    def _arrays(self, labels: Sequence[Label]) -> tuple[Array, Array]:
        differences = [self._difference(first, second) for first, second, _ in labels]
        outcomes = [outcome for _, _, outcome in labels]
        return np.array(differences).reshape(-1, self.pool.features.shape[1]), np.array(outcomes, dtype=np.float64)

    def _fit(self, lam: float) -> Posterior:
        return fit(*self._arrays(self._labels), lam)
