"""What a score is expected to be where nothing was tried: a Gaussian process over settings.

A setting that is a number has a Matern 5/2 kernel, one that is not has a length for "the same" against "another". The
process is part sum over the settings and part product (Duvenaud et al. 2011, Additive Gaussian processes): the sum
learns from a dozen trials what each setting does by itself, the product what they do together. One process covers all
kinds of recipes: how much a kind learns from its siblings is a length that the data decide. Lengths have log-normal
priors that grow with the number of settings (Hvarfner et al. 2024, arXiv 2402.02229, section 4), without which a dozen
trials would not pin them down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_JITTER = 1e-8
_PRIOR_SPREAD = 1.0
"""Standard deviation of a log length scale."""
_NOISE_PRIOR = (math.log(0.4), 1.0)
"""Mean and standard deviation of the log of the noise's standard deviation, the scores' being 1."""
_MOST_NOISE = 0.5
"""Of the scores' spread: what seems noisier than that is no reason to learn nothing."""
_STEPS = 12
"""Iterations of the fit at most."""
_FITTED = 64
"""Observations that the hyperparameters are fitted to; all are taken for the predictions."""
_ADDED = 0.6
"""Of the kernel, that is a sum over the settings; the rest is their product."""
_REMEMBERED = 16
"""Fits that are kept: a sampler and a scheduler ask about the same trials in turn."""
_LEAST_SPREAD = 1e-9
_NOISES = 2.0
"""Known noises that the scores' spread is taken to be at least."""


@dataclass(frozen=True)
class Columns:
    """Which columns of an input make up one setting, and how two values of it are compared."""

    numeric: tuple[int, ...]
    """Columns with a number from 0 to 1."""
    nominal: tuple[int, ...]
    """Columns with a code; two codes are the same or not."""
    studies: tuple[int, ...] = ()
    """Columns with the number of a study: between two of them all else is worth that much less."""

    @property
    def settings(self) -> int:
        """How many there are, those that tell studies apart not among them."""
        return len(self.numeric) + len(self.nominal)

    @property
    def count(self) -> int:
        """Length scales."""
        return self.settings + len(self.studies)


class Surrogate:
    """A Gaussian process that was fitted.

    Args:
        columns: of the inputs.
        inputs: (N, D) settings, and what else tells observations apart.
        scores: (N,) the higher the better.
        noises: (N,) standard deviations of the scores that are known, in their unit; what is fitted comes on top.
        fixed: log length scales and log noise to take as they are, instead of fitting.
        prior: means of the priors of both; by default ``typical``.
    """

    def __init__(
        self,
        columns: Columns,
        inputs: Floats,
        scores: Floats,
        *,
        noises: Floats | None = None,
        fixed: Floats | None = None,
        prior: Floats | None = None,
    ) -> None:
        self._columns = columns
        self._inputs = inputs
        self._centre = float(np.mean(scores))
        known = np.zeros(len(scores)) if noises is None else noises
        # Scores that differ no more than noise does say little of how far apart others may be.
        spread = max(float(np.std(scores)), _NOISES * float(np.median(known)))
        self.spread = spread if spread > _LEAST_SPREAD else 1.0
        self._targets = (scores - self._centre) / self.spread
        self._known = (known / self.spread) ** 2
        means = typical(columns) if prior is None else prior
        self.hyper = _fitted(columns, inputs, self._targets, self._known, means) if fixed is None else fixed
        self._factor, self._weights = self._solved()

    @property
    def noise(self) -> float:
        """Standard deviation of one observation, in the scores' unit."""
        return float(math.exp(self.hyper[-1]) * self.spread)

    def predict(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noiseless score at (M, D) inputs: (M,) each."""
        cross = self._cross(inputs, self._inputs)
        from scipy.linalg import solve_triangular

        solved = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = np.maximum(1.0 - np.sum(solved * solved, axis=0), 1e-12)
        return self._mean(cross), self.spread * np.sqrt(variance)

    def mean(self, inputs: Floats) -> Floats:
        """Of ``predict`` the mean alone, which costs less: (M,)."""
        return self._mean(self._cross(inputs, self._inputs))

    def joint(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean (M,) and covariance (M, M) of the noiseless scores at (M, D) inputs together."""
        from scipy.linalg import solve_triangular

        cross = self._cross(inputs, self._inputs)
        solved = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        return self._mean(cross), self.spread**2 * (self._cross(inputs, inputs) - solved.T @ solved)

    def _mean(self, cross: Floats) -> Floats:
        return np.asarray(self._centre + self.spread * (cross @ self._weights))

    def _cross(self, a: Floats, b: Floats) -> Floats:
        return _kernel(_alike(_differences(self._columns, a, b), self._columns, self.hyper), self._columns)

    def _solved(self) -> tuple[Floats, Floats]:
        from scipy.linalg import cho_solve, cholesky

        plain = _noisy(self._cross(self._inputs, self._inputs), self.hyper, self._known)
        factor = cholesky(plain, lower=True, check_finite=False)
        return factor, cho_solve((factor, True), self._targets, check_finite=False)


def _fitted(columns: Columns, inputs: Floats, targets: Floats, known: Floats, start: Floats) -> Floats:
    """The most probable hyperparameters, by an even sample of the observations where there are many."""
    if len(targets) > _FITTED:
        chosen = np.linspace(0, len(targets) - 1, _FITTED).round().astype(int)
        inputs, targets, known = inputs[chosen], targets[chosen], known[chosen]
    said = (np.ascontiguousarray(one, dtype=np.float64).tobytes() for one in (inputs, targets, known, start))
    return np.array(_searched(columns, *said))


@lru_cache(_REMEMBERED)
def _searched(columns: Columns, *said: bytes) -> tuple[float, ...]:
    """Likewise for (N, D) inputs, (N,) targets, (N,) known noises and (H,) start, each as its bytes: the same question
    has the same answer, which is found once."""
    from scipy.optimize import minimize

    inputs, targets, known, start = (np.frombuffer(one) for one in said)
    inputs = inputs.reshape(len(targets), -1)
    bounds = [(mean - 3.0, mean + 3.0) for mean in start[:-1]] + [(math.log(0.01), math.log(_MOST_NOISE))]
    differences = _differences(columns, inputs, inputs)
    found = minimize(
        _loss,
        start,
        args=(columns, differences, targets, known, start),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _STEPS},
    )
    return tuple(found.x if np.all(np.isfinite(found.x)) else start)


def _loss(
    hyper: Floats, columns: Columns, differences: Floats, targets: Floats, known: Floats, means: Floats
) -> tuple[float, Floats]:
    """The negative log posterior of the hyperparameters and its gradient."""
    from scipy.linalg import cho_solve, cholesky

    alike = _alike(differences, columns, hyper)
    factor = cholesky(_noisy(_kernel(alike, columns), hyper, known), lower=True, check_finite=False)
    weights = cho_solve((factor, True), targets, check_finite=False)
    loss = 0.5 * float(targets @ weights) + float(np.sum(np.log(np.diag(factor))))
    pull = np.outer(weights, weights) - cho_solve((factor, True), np.eye(len(targets)), check_finite=False)
    gradient = np.empty(len(hyper))
    gradient[:-1] = -0.5 * _slopes(differences, alike, columns, hyper, pull)
    gradient[-1] = -float(np.trace(pull)) * math.exp(2 * hyper[-1])
    spreads = np.full(len(hyper), _PRIOR_SPREAD)
    spreads[-1] = _NOISE_PRIOR[1]
    away = (hyper - means) / spreads
    return loss + 0.5 * float(away @ away), gradient + away / spreads


def _noisy(plain: Floats, hyper: Floats, known: Floats) -> Floats:
    full = plain.copy()
    full[np.diag_indices_from(full)] += known + math.exp(2 * hyper[-1]) + _JITTER
    return full


def typical(columns: Columns) -> Floats:
    """Log length scales that are typical of so many settings, and the log noise: what a fit begins with."""
    typical = math.log(0.4) + 0.5 * math.log(max(1, columns.settings))
    return np.array([typical] * columns.count + [_NOISE_PRIOR[0]])


def _differences(columns: Columns, a: Floats, b: Floats) -> Floats:
    """(settings, N, M): how far two values of each setting are apart."""
    found = np.empty((columns.count, len(a), len(b)))
    for index, column in enumerate(columns.numeric):
        np.subtract.outer(a[:, column], b[:, column], out=found[index])
    for index, column in enumerate((*columns.nominal, *columns.studies), len(columns.numeric)):
        np.not_equal.outer(a[:, column], b[:, column], out=found[index])
    return np.abs(found, out=found)


def _kernel(alike: Floats, columns: Columns) -> Floats:
    """(N, M) of how alike two values of each setting are, (settings, N, M)."""
    settings, studies = alike[: columns.settings], alike[columns.settings :]
    of_settings = _ADDED / columns.settings * settings.sum(axis=0) + (1.0 - _ADDED) * settings.prod(axis=0)
    return of_settings * studies.prod(axis=0) if len(studies) else np.asarray(of_settings)


def _alike(differences: Floats, columns: Columns, hyper: Floats) -> Floats:
    """(settings, N, M): how alike two values of each setting are, from 0 to 1."""
    count = len(columns.numeric)
    inverse = np.exp(-hyper[:-1])[:, None, None]
    root = differences[:count] * (math.sqrt(5.0) * inverse[:count])
    found = np.empty_like(differences)
    found[:count] = (1.0 + root * (1.0 + root / 3.0)) * np.exp(-root)
    found[count:] = 1.0 - differences[count:] * (1.0 - np.exp(-inverse[count:]))  # they differ by 0 or 1
    return found


def _slopes(differences: Floats, alike: Floats, columns: Columns, hyper: Floats, weights: Floats) -> Floats:
    """(settings,) the sum of the kernel's slopes in each log length scale, times ``weights``."""
    count, settings = len(columns.numeric), columns.settings
    inverse = np.exp(-hyper[:-1])[:, None, None]
    steps = np.empty_like(differences)
    root = differences[:count] * (math.sqrt(5.0) * inverse[:count])
    steps[:count] = root * root * (1.0 + root) / 3.0 * np.exp(-root)
    steps[count:] = differences[count:] * (inverse[count:] * np.exp(-inverse[count:]))
    studies = alike[settings:].prod(axis=0)
    product = alike[:settings].prod(axis=0)
    every = weights * studies
    found = np.empty(columns.count)
    for index in range(settings):
        others = (1.0 - _ADDED) * product / np.maximum(alike[index], 1e-300)
        found[index] = float(np.sum(every * (_ADDED / settings + others) * steps[index]))
    whole = weights * (_ADDED * alike[:settings].mean(axis=0) + (1.0 - _ADDED) * product)
    for index in range(settings, columns.count):
        others = studies / np.maximum(alike[index], 1e-300)
        found[index] = float(np.sum(whole * others * steps[index]))
    return found
