"""Guesses of settings from before the first trial: a prior that fades as trials are measured.

What an idea promises is multiplied by what the guesses say of it, to the power of ``strength`` over the number of
trials measured (Hvarfner et al. 2022, piBO, arXiv 2204.11051): a good guess is followed from the start, and
a wrong one is forgotten. A number is believed to be near its guess, on the scale of its range; a choice to be its
option. Nothing is held impossible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.domain.prior import Prior
from tunewright.domain.space import Space, as_json
from tunewright.search import distributions
from tunewright.search.decision import Path
from tunewright.search.encoding import ordered, place
from tunewright.search.kernel import Floats

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_MOST = 0.9
"""Of the belief, that is in a guess of full weight; the rest is spread evenly."""
_WIDEST, _NARROWER = 0.25, 0.15
"""Standard deviation of a guess without weight, of a range of 1, and by how much it is less at full weight."""
_TRIALS_EACH = 10
"""Trials of a study for one of ``strength``, as in the paper."""


@dataclass(frozen=True)
class Guess:
    """Of one parameter."""

    value: Any
    """As Optuna has it."""
    weight: float
    """How sure it is, from 0 to 1."""
    part: float = 1.0
    """What it counts for beside the others: parameters that make up one setting share one."""

    @property
    def share(self) -> float:
        """Of the belief, that is in the guess and not spread evenly."""
        return _MOST * self.weight

    @property
    def width(self) -> float:
        """Standard deviation, of a range of 1."""
        return _WIDEST - _NARROWER * self.weight


@dataclass(frozen=True)
class Leaning:
    """Guesses, and how much they still count.

    Args:
        guesses: parameter -> guess.
        power: of what they say.
    """

    guesses: Mapping[str, Guess]
    power: float

    def of_decisions(self, path: Path, options: Mapping[str, BaseDistribution]) -> float:
        """The log of what is believed of some decisions, 0 where they are as guessed, times the power.

        Args:
            options: distribution of each decision.
        """
        found = [
            float(_log_belief(self.guesses[name], options[name], np.array([place(options[name], option)]))[0])
            for name, option in path
            if name in self.guesses
        ]
        return self.power * math.fsum(found)

    def of_settings(self, names: Sequence[str], spaces: Sequence[BaseDistribution], points: Floats) -> Floats:
        """(M,) likewise, of (M, settings) places of settings."""
        found = np.zeros(len(points))
        for index, (name, space) in enumerate(zip(names, spaces, strict=True)):
            if name in self.guesses:
                found += self.guesses[name].part * _log_belief(self.guesses[name], space, points[:, index])
        return self.power * found


@dataclass(frozen=True)
class Guesses:
    """What is guessed of parameters.

    Args:
        found: parameter -> guess.
        strength: trials after which it counts once, for as much as what the trials say.
    """

    found: Mapping[str, Guess]
    strength: float

    def after(self, trials: int) -> Leaning | None:
        """What counts of it after so many trials were measured; None where nothing is guessed."""
        return Leaning(self.found, self.strength / max(1, trials)) if self.found else None


def guesses_of(priors: Sequence[Prior], space: Space, trials: int) -> Guesses:
    """A plan's priors as guesses of parameters; one that has no place in the space is left out.

    Args:
        trials: that the study is to have.
    """
    dimensions = {dimension.name: dimension for dimension in space.dimensions}
    found: dict[str, Guess] = {}
    for prior in priors:
        dimension = dimensions.get(prior.name)
        if dimension is not None and dimension.holds(prior.value):
            params = distributions.params(dimension, as_json(prior.value))
            found |= {name: Guess(value, prior.weight, 1 / len(params)) for name, value in params.items()}
    return Guesses(found, trials / _TRIALS_EACH)


def holds(space: BaseDistribution, value: Any) -> bool:
    """Whether a distribution has a value."""
    try:
        return bool(space._contains(space.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def _log_belief(guess: Guess, space: BaseDistribution, places: Floats) -> Floats:
    """(N,) the log of what is believed of places, 0 at the guess: so that a branch gains nothing by having guesses."""
    if ordered(space):
        even, peak = 1 - guess.share, guess.share / (guess.width * math.sqrt(2 * math.pi))
        away = (places - place(space, guess.value)) / guess.width
        return np.asarray(np.log((even + peak * np.exp(-0.5 * away * away)) / (even + peak)))
    even = (1 - guess.share) / len(space.choices)
    return np.where(places == place(space, guess.value), 0.0, math.log(even / (even + guess.share)))
