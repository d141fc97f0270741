"""What a score is expected to be where nothing was tried: a Gaussian process over settings and rungs.

Settings that are numbers have a Matern 5/2 kernel with a length scale each, and so has the rung, so that what a trial
showed early says something of its end; those that are not numbers have a length for "the same" against "another". One
process covers all kinds of recipes: how much a kind learns from its siblings is a length that the data decide. Lengths
have log-normal priors that grow with the number of settings (Hvarfner et al. 2024, arXiv 2402.02229, section 4),
without which a dozen trials would not pin them down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_JITTER = 1e-8
_PRIOR_SPREAD = 1.0
"""Standard deviation of a log length scale."""
_NOISE_PRIOR = (math.log(0.1), 1.0)
"""Mean and standard deviation of the log of the noise's standard deviation, the scores' being 1."""
_MOST_NOISE = 0.5
"""Of the scores' spread: what seems noisier than that is no reason to learn nothing."""
_STEPS = 40
"""Iterations of the fit at most."""
_FITTED = 100
"""Observations that the hyperparameters are fitted to; all are taken for the predictions."""
_LEAST_SPREAD = 1e-9
_NOISES = 4.0
"""Known noises that the scores' spread is taken to be at least."""


@dataclass(frozen=True)
class Columns:
    """Which columns of an input make up one setting, and how two values of it are compared."""

    numeric: tuple[int, ...]
    """Columns with a number from 0 to 1."""
    nominal: tuple[int, ...]
    """Columns with a code; two codes are the same or not."""


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
        self._factor, self._weights = self._solved(self.hyper)

    @property
    def noise(self) -> float:
        """Standard deviation of one observation, in the scores' unit."""
        return float(math.exp(self.hyper[-1]) * self.spread)

    def predict(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noiseless score at (M, D) inputs: (M,) each."""
        cross = _kernel(_differences(self._columns, inputs, self._inputs), self._columns, self.hyper)
        mean = cross @ self._weights
        from scipy.linalg import solve_triangular

        solved = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = np.maximum(1.0 - np.sum(solved * solved, axis=0), 1e-12)
        return self._centre + self.spread * mean, self.spread * np.sqrt(variance)

    def joint(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean (M,) and covariance (M, M) of the noiseless scores at (M, D) inputs together."""
        from scipy.linalg import solve_triangular

        cross = _kernel(_differences(self._columns, inputs, self._inputs), self._columns, self.hyper)
        solved = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        among = _kernel(_differences(self._columns, inputs, inputs), self._columns, self.hyper)
        return self._centre + self.spread * (cross @ self._weights), self.spread**2 * (among - solved.T @ solved)

    def _solved(self, hyper: Floats) -> tuple[Floats, Floats]:
        from scipy.linalg import cho_solve, cholesky

        plain = _kernel(_differences(self._columns, self._inputs, self._inputs), self._columns, hyper)
        factor = cholesky(_noisy(plain, hyper, self._known), lower=True, check_finite=False)
        return factor, cho_solve((factor, True), self._targets, check_finite=False)


def _fitted(columns: Columns, inputs: Floats, targets: Floats, known: Floats, start: Floats) -> Floats:
    """The most probable hyperparameters, by an even sample of the observations where there are many."""
    from scipy.optimize import minimize

    if len(targets) > _FITTED:
        chosen = np.linspace(0, len(targets) - 1, _FITTED).round().astype(int)
        inputs, targets, known = inputs[chosen], targets[chosen], known[chosen]
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
    return np.asarray(found.x if np.all(np.isfinite(found.x)) else start, dtype=np.float64)


def _loss(
    hyper: Floats, columns: Columns, differences: Floats, targets: Floats, known: Floats, means: Floats
) -> tuple[float, Floats]:
    """The negative log posterior of the hyperparameters and its gradient."""
    from scipy.linalg import cho_solve, cholesky

    plain = _kernel(differences, columns, hyper)
    factor = cholesky(_noisy(plain, hyper, known), lower=True, check_finite=False)
    weights = cho_solve((factor, True), targets, check_finite=False)
    loss = 0.5 * float(targets @ weights) + float(np.sum(np.log(np.diag(factor))))
    pull = np.outer(weights, weights) - cho_solve((factor, True), np.eye(len(targets)), check_finite=False)
    gradient = np.empty(len(hyper))
    gradient[:-1] = -0.5 * _slopes(differences, columns, hyper, pull * plain)
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
    count = len(columns.numeric) + len(columns.nominal)
    typical = math.log(0.5) + 0.5 * math.log(max(1, count))
    return np.array([typical] * count + [_NOISE_PRIOR[0]])


def _differences(columns: Columns, a: Floats, b: Floats) -> Floats:
    """(settings, N, M): how far two values of each setting are apart."""
    found = np.empty((len(columns.numeric) + len(columns.nominal), len(a), len(b)))
    for index, column in enumerate(columns.numeric):
        np.subtract.outer(a[:, column], b[:, column], out=found[index])
    for index, column in enumerate(columns.nominal, len(columns.numeric)):
        np.not_equal.outer(a[:, column], b[:, column], out=found[index])
    count = len(columns.numeric)
    np.square(found[:count], out=found[:count])
    return found


def _kernel(differences: Floats, columns: Columns, hyper: Floats) -> Floats:
    square, apart = _distances(differences, columns, hyper)
    scaled = np.sqrt(5.0 * square)
    return np.asarray((1.0 + scaled + scaled * scaled / 3.0) * np.exp(-scaled - apart))


def _distances(differences: Floats, columns: Columns, hyper: Floats) -> tuple[Floats, Floats]:
    count = len(columns.numeric)
    scales = np.exp(-hyper[:-1])
    square = np.tensordot(scales[:count] ** 2, differences[:count], axes=1)
    return square, np.tensordot(scales[count:], differences[count:], axes=1)


def _slopes(differences: Floats, columns: Columns, hyper: Floats, weights: Floats) -> Floats:
    """(settings,) the sum of the kernel's slopes in each log length scale, over its own value, times ``weights``."""
    count = len(columns.numeric)
    scales = np.exp(-hyper[:-1])
    square, _ = _distances(differences, columns, hyper)
    scaled = np.sqrt(5.0 * square)
    # d log k / d square = -(5/6) (1 + s) / (1 + s + s^2/3) for Matern 5/2
    of_square = (5.0 / 3.0) * (1.0 + scaled) / (1.0 + scaled + scaled * scaled / 3.0)
    numeric = scales[:count] ** 2 * np.tensordot(differences[:count], weights * of_square, axes=2)
    nominal = scales[count:] * np.tensordot(differences[count:], weights, axes=2)
    return np.concatenate([numeric, nominal])
