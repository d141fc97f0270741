"""What was measured over what was predicted: by how much to correct a forecast, and how sure that is. No torch.

The log ratios of finished trials are a Gaussian process over what two recipes have in common: all share the machine,
some a plan, an adapter, settings or a size, so a trial tells most about its kin and something about every other. The
scale of the noise is not known, so the process is a Student t process with an inverse gamma prior on it (Shah, Wilson
and Ghahramani 2014, arXiv 1402.4306, section 3): with few trials an interval is about what the prior says, with many
it follows their residuals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewright.domain.proposal import Range

if TYPE_CHECKING:
    from numpy.typing import NDArray

COVERED = 0.8
"""Of what is measured, the share that an interval is made to hold."""
_FREEDOM = 5.0
"""Trials that the prior scale of the noise counts as."""
_FAR, _ENOUGH = 3.0, 5
"""A log ratio further than so many spreads from the middle is taken for one that near, once there are so many."""


@dataclass(frozen=True)
class Traits:
    """What of a recipe decides how far its prediction is off."""

    shared: Mapping[str, str]
    """Aspect -> what it is in this recipe; two recipes share an aspect if it is the same in both."""
    size: float = 0.0
    """Logarithm of how much there is of it: sizes near each other are off alike."""


@dataclass(frozen=True)
class Prior:
    """How log ratios vary before anything was measured, as variances in units of the noise's."""

    noise: float
    """Its standard deviation: between trainings of one recipe."""
    machine: float
    """Common to all."""
    size: float
    """Common to those of one size, and less to others."""
    aspects: Mapping[str, float]
    """Common to those that share the aspect."""

    @property
    def total(self) -> float:
        return self.machine + self.size + sum(self.aspects.values())


@dataclass(frozen=True)
class Factor:
    """What a prediction is to be multiplied with."""

    expected: float
    low: float
    """10th percentile."""
    high: float
    """90th percentile."""

    def of(self, predicted: float) -> Range:
        """The prediction corrected."""
        return Range(expected=predicted * self.expected, low=predicted * self.low, high=predicted * self.high)


class Calibration:
    """The correction of one quantity's predictions.

    Args:
        prior: of the quantity.
        seen: traits of what was measured, and measured over predicted, above zero.
    """

    def __init__(self, prior: Prior, seen: Sequence[tuple[Traits, float]]) -> None:
        self._prior = prior
        self._traits = [traits for traits, _ in seen]
        self._ratios = _clipped([math.log(ratio) for _, ratio in seen], prior.noise)

    def factor(self, traits: Traits) -> Factor:
        """For a recipe with such traits."""
        from scipy.special import stdtrit

        middle, spread, freedom = self._predicted(traits)
        side = spread * float(stdtrit(freedom, (1 + COVERED) / 2))
        return Factor(math.exp(middle), math.exp(middle - side), math.exp(middle + side))

    def _predicted(self, traits: Traits) -> tuple[float, float, float]:
        """Location, scale and degrees of freedom of the next log ratio."""
        import numpy as np

        prior, count = self._prior, len(self._ratios)
        own = prior.total + 1.0
        if not count:
            return 0.0, prior.noise * math.sqrt(own), _FREEDOM
        among, towards = self._alike(self._traits) + np.eye(count), self._alike([traits])[:, 0]
        ratios = np.asarray(self._ratios)
        by_ratio, by_trait = np.linalg.solve(among, np.stack([ratios, towards], axis=1)).T
        freedom = _FREEDOM + count
        noise = math.sqrt((_FREEDOM * prior.noise**2 + float(ratios @ by_ratio)) / freedom)
        return float(towards @ by_ratio), noise * math.sqrt(own - float(towards @ by_trait)), freedom

    def _alike(self, others: Sequence[Traits]) -> NDArray[Any]:
        """(seen, others) covariances in units of the noise's variance."""
        import numpy as np

        prior = self._prior
        sizes, theirs = (np.array([one.size for one in every]) for every in (self._traits, others))
        found: NDArray[Any] = prior.machine + prior.size * np.exp(-((sizes[:, None] - theirs[None]) ** 2) / 2)
        for aspect, weight in prior.aspects.items():
            mine, other = (
                np.array([one.shared.get(aspect, "") for one in every], dtype=object)
                for every in (self._traits, others)
            )
            found += weight * (mine[:, None] == other[None])
        return found


def _clipped(ratios: Sequence[float], noise: float) -> list[float]:
    """With what lies far from the rest brought nearer: a machine that once stood still is not doubted ever after."""
    if len(ratios) < _ENOUGH:
        return list(ratios)
    import statistics

    middle = statistics.median(ratios)
    spread = max(noise, 1.4826 * statistics.median(abs(one - middle) for one in ratios))
    return [min(max(one, middle - _FAR * spread), middle + _FAR * spread) for one in ratios]
