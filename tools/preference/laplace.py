"""The Laplace approximation of a linear reward: what pairs say of it, and how sure that is.

A reward is ``w . phi``, phi being features that do not change while labels come in, so a pair with the difference
``d = phi1 - phi2`` is won by the first answer with probability ``sigmoid(w . d)`` (Bradley and Terry 1952). The weights
have the prior ``N(0, 1 / lam)``; given labelled pairs their distribution is taken for the normal one that has the same
mode and the same curvature there (Laplace; on the last layer alone as in Kristiadi et al. 2020, arXiv 2002.10118).

The paper's (Cercola, Capretti, Formentin 2025, arXiv 2511.04286): a last-layer Laplace approximation as the uncertainty
of a reward model that is trained on preferences. Ours, from the textbook and not from its text: the equations below,
that a tie is half a win of each, that ``lam`` is the one under which the labels are most likely, and that the features
stay as they are instead of being trained again now and then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.special import expit

Array = NDArray[np.float64]

LAMS: tuple[float, ...] = tuple(float(10.0 ** (exponent / 2)) for exponent in range(-6, 3))
"""Precisions of the prior that are tried, 1e-3 to 10: for features of which a difference has about the length 1."""
LAM = 1.0
"""The precision until there are labels enough to tell."""

_FEW = 8
"""Labels that say nothing yet about the prior."""
_STEPS = 100
_GRADIENT = 1e-9
"""Where the fit has arrived: the largest entry of the gradient, over the number of pairs."""


@dataclass(frozen=True)
class Posterior:
    """``N(mean, precision^-1)`` over the weights of a reward."""

    mean: Array
    """(D,)"""
    precision: Array
    """(D, D), symmetric and positive definite: the Hessian of the negative log posterior at ``mean``."""

    @cached_property
    def factor(self) -> Array:
        """(D, D) lower triangular ``L`` with ``L @ L.T == precision``."""
        found: Array = cholesky(self.precision, lower=True)
        return found

    @cached_property
    def covariance(self) -> Array:
        """(D, D)"""
        half = solve_triangular(self.factor, np.eye(len(self.mean)), lower=True)
        found: Array = half.T @ half
        return found

    def whitened(self, vectors: Array) -> Array:
        """(N, D) vectors whose squared distances are posterior variances: that of ``w . d`` is ``|whitened(d)|^2``."""
        found: Array = solve_triangular(self.factor, vectors.T, lower=True).T
        return found

    def margin(self, differences: Array) -> Array:
        """(N,) means of ``w . d`` for (N, D) differences."""
        found: Array = differences @ self.mean
        return found

    def variance(self, differences: Array) -> Array:
        """(N,) variances of ``w . d`` for (N, D) differences."""
        found: Array = np.square(self.whitened(differences)).sum(axis=1)
        return found

    def probability(self, differences: Array) -> Array:
        """(N,) probabilities that the first answer is the better one; see ``averaged``."""
        return averaged(self.margin(differences), self.variance(differences))

    def sample(self, chance: np.random.Generator) -> Array:
        """(D,) weights drawn from the posterior."""
        drawn = chance.standard_normal(len(self.mean))
        found: Array = self.mean + solve_triangular(self.factor, drawn, lower=True, trans="T")
        return found

    def expecting(self, difference: Array) -> Posterior:
        """The posterior once a (D,) pair will have been labelled, whatever the label: its curvature is added, and the
        mean stays. What a batch is chosen by, since no label is there between two of its pairs."""
        chance = float(expit(difference @ self.mean))
        return Posterior(self.mean, self.precision + chance * (1 - chance) * np.outer(difference, difference))

    def bits_over(self, before: Posterior) -> float:
        """Kullback-Leibler divergence of this from ``before``, in bits: what was learnt in between, never negative.

        Known as Bayesian surprise (Itti and Baldi 2009).
        """
        moved = before.factor.T @ (self.mean - before.mean)
        spread = solve_triangular(self.factor, before.factor, lower=True)
        volume = 2 * float(np.log(np.diag(self.factor)).sum() - np.log(np.diag(before.factor)).sum())
        nats = 0.5 * (float(np.square(spread).sum()) - len(self.mean) + volume + float(moved @ moved))
        return max(0.0, nats) / math.log(2)


def averaged(margin: Array, variance: Array) -> Array:
    """The mean of ``sigmoid(f)`` over ``f ~ N(margin, variance)``, nearly, by the probit approximation (MacKay 1992).

    Nearer to one half than ``sigmoid(margin)``, the more so the less is known.
    """
    found: Array = expit(margin / np.sqrt(1 + math.pi * variance / 8))
    return found


def prior(dimensions: int, lam: float) -> Posterior:
    """What is believed before the first label.

    Args:
        lam: precision of each weight, above 0.
    """
    if not lam > 0:
        raise ValueError(f"the prior's precision has to be above 0, and is {lam:g}")
    return Posterior(np.zeros(dimensions), lam * np.eye(dimensions))


def likeliest_lam(differences: Array, outcomes: Array) -> float:
    """The precision of the prior under which the labels are most likely, by Laplace's approximation (MacKay 1992).

    It decides how sure the posterior is: with a fixed one, probabilities are too bold or too timid by far, depending
    on the length of the features and on how noisy the labels are.
    """
    if len(outcomes) < _FEW:
        return LAM
    return max(LAMS, key=lambda lam: _evidence(fit(differences, outcomes, lam), differences, outcomes, lam))


def _evidence(posterior: Posterior, differences: Array, outcomes: Array, lam: float) -> float:
    """Logarithm of the labels' probability, weights integrated out."""
    volume = float(np.log(np.diag(posterior.factor)).sum())
    prior_volume = 0.5 * len(posterior.mean) * math.log(lam)
    return float(prior_volume - volume - objective(posterior.mean, differences, outcomes, lam))


def fit(differences: Array, outcomes: Array, lam: float) -> Posterior:
    """The posterior given labelled pairs: mode by Newton's method, precision by the Hessian there.

    Args:
        differences: (N, D), features of the first answer minus those of the second; N may be 0.
        outcomes: (N,), 1 where the first answer is better, 0 where the second is, 0.5 for a tie.
        lam: the prior's precision.
    """
    start = prior(differences.shape[1], lam)
    weights, value = start.mean, objective(start.mean, differences, outcomes, lam)
    for _ in range(_STEPS if len(outcomes) else 0):
        slope = gradient(weights, differences, outcomes, lam)
        if float(np.abs(slope).max()) <= _GRADIENT * len(outcomes):
            break
        step: Array = cho_solve(cho_factor(_hessian(weights, differences, lam), lower=True), slope)
        weights, value, moved = _descend(weights, value, step, float(slope @ step), differences, outcomes, lam)
        if not moved:  # rounding hides what is left to gain
            break
    return Posterior(weights, _hessian(weights, differences, lam))


def objective(weights: Array, differences: Array, outcomes: Array, lam: float) -> float:
    """Negative log posterior in nats, without its constant."""
    margin = differences @ weights
    loss = np.logaddexp(0.0, margin) - outcomes * margin
    return float(loss.sum()) + 0.5 * lam * float(weights @ weights)


def gradient(weights: Array, differences: Array, outcomes: Array, lam: float) -> Array:
    """(D,) derivative of ``objective`` by the weights."""
    found: Array = differences.T @ (expit(differences @ weights) - outcomes) + lam * weights
    return found


def _hessian(weights: Array, differences: Array, lam: float) -> Array:
    chance = expit(differences @ weights)
    found: Array = (differences.T * (chance * (1 - chance))) @ differences + lam * np.eye(len(weights))
    return found


def _descend(
    weights: Array, value: float, step: Array, slope: float, differences: Array, outcomes: Array, lam: float
) -> tuple[Array, float, bool]:
    """Newton's step, halved until it leads downhill by a part of what its slope promises."""
    size = 1.0
    while size > 1e-10:
        new = weights - size * step
        found = objective(new, differences, outcomes, lam)
        if found <= value - 1e-4 * size * slope:
            return new, found, True
        size /= 2
    return weights, value, False
