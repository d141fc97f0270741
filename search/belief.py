"""What the end of one trial is believed to be before it has come there: by trials like it, and by its own last rung."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunewright.search.acquisition import log_improvement
from tunewright.search.model import Model


@dataclass(frozen=True)
class Belief:
    """What the end of one trial is expected to be, against the best so far."""

    mean: float
    spread: float
    best: float

    @staticmethod
    def of(model: Model, indices: Sequence[int]) -> list[Belief]:
        """By other trials alone, of trials whose scores were not told."""
        means, spreads = model.scores(model.rows[list(indices)])
        best, noise = model.best, model.noise
        assert best is not None, "asked where there is one"
        return [Belief(float(m), math.hypot(float(s), noise), best) for m, s in zip(means, spreads, strict=True)]

    def with_own(self, mean: float, spread: float) -> Belief:
        """With what its own last rung says."""
        mine, others = 1.0 / max(spread, 1e-9) ** 2, 1.0 / max(self.spread, 1e-9) ** 2
        both = (mine * mean + others * self.mean) / (mine + others)
        return replace(self, mean=both, spread=1.0 / math.sqrt(mine + others))

    @property
    def chance(self) -> float:
        """That it beats the best."""
        return 0.5 * math.erfc((self.best - self.mean) / (max(self.spread, 1e-9) * math.sqrt(2)))

    @property
    def log_gain(self) -> float:
        """The log of what it is expected to be above the best."""
        spread = max(self.spread, 1e-9)
        return float(log_improvement(np.array([(self.mean - self.best) / spread]))[0]) + math.log(spread)
