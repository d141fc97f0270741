"""Scores on a scale on which a model of few trials does best: the logarithm of how far each is above the worst.

What settings do to a score is more nearly multiplied than added: where one of them ruins a recipe, the others do
nothing. On the logarithm such effects add up, and what is ruined and what is poor are told apart, which on the scores'
own scale is nothing beside what separates the good from both. Measured in benchmarks/search/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewright.search.kernel import Floats

_NOISES = 2.0
"""Of a score, that the worst is put above zero: differences of noise are not to become large ones."""
_SHARE = 0.05
"""Of the scores' range, likewise."""


@dataclass(frozen=True)
class Warp:
    """Between scores, the higher the better, and the scale that they are modelled on."""

    zero: float
    """Just below the worst score: where the logarithm ends."""

    @staticmethod
    def of(scores: Floats, noise: float) -> Warp:
        """For these scores.

        Args:
            noise: standard deviation of one of them; 0 if nothing is known.
        """
        worst = float(scores.min())
        return Warp(worst - max(_NOISES * noise, _SHARE * (float(scores.max()) - worst), 1e-9))

    def to(self, scores: Floats) -> Floats:
        """Scores on the scale; what is below all that were seen is put where the worst is."""
        return np.log(np.maximum(scores - self.zero, 1e-9))

    def back(self, places: Floats) -> Floats:
        """The inverse of ``to``."""
        return np.exp(places) + self.zero

    def slope(self, scores: Floats) -> Floats:
        """What a small step of a score is on the scale."""
        return 1.0 / np.maximum(scores - self.zero, 1e-9)
