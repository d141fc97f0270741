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
_STEPS = 40
"""Iterations of the fit at most."""
_LEAST_SPREAD = 1e-9


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
        fixed: log length scales and log noise to take as they are, instead of fitting.
    """

    def __init__(
        self,
        columns: Columns,
        inputs: Floats,
        scores: Floats,
        *,
        fixed: Floats | None = None,
        slack: Floats | None = None,
    ) -> None:
        self._columns = columns
        self._inputs = inputs
        self._centre = float(np.mean(scores))
        spread = float(np.std(scores))
        self.spread = spread if spread > _LEAST_SPREAD else 1.0
        self._targets = (scores - self._centre) / self.spread
        self._slack = np.zeros(len(scores)) if slack is None else slack
        self._differences = _differences(columns, inputs, inputs)
        self.hyper = self._fitted() if fixed is None else fixed
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

    def _solved(self, hyper: Floats) -> tuple[Floats, Floats]:
        from scipy.linalg import cho_solve, cholesky

        factor = cholesky(self._covariance(hyper)[0], lower=True, check_finite=False)
        return factor, cho_solve((factor, True), self._targets, check_finite=False)

    def _covariance(self, hyper: Floats) -> tuple[Floats, Floats]:
        """With the noise, and without."""
        plain = _kernel(self._differences, self._columns, hyper)
        noise = math.exp(2 * hyper[-1]) + _JITTER + self._slack
        return plain + np.diag(np.broadcast_to(noise, len(self._targets))), plain

    def _fitted(self) -> Floats:
        from scipy.optimize import minimize

        start = typical(self._columns)
        bounds = [(mean - 3.0, mean + 3.0) for mean in start[:-1]] + [(math.log(0.01), math.log(1.5))]
        found = minimize(self._loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
        return np.asarray(found.x if np.all(np.isfinite(found.x)) else start, dtype=np.float64)

    def _loss(self, hyper: Floats) -> tuple[float, Floats]:
        """The negative log posterior of the hyperparameters and its gradient."""
        from scipy.linalg import cho_solve, cholesky

        count = len(self._targets)
        full, plain = self._covariance(hyper)
        factor = cholesky(full, lower=True, check_finite=False)
        weights = cho_solve((factor, True), self._targets, check_finite=False)
        loss = 0.5 * float(self._targets @ weights) + float(np.sum(np.log(np.diag(factor))))
        inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
        pull = np.outer(weights, weights) - inverse
        gradient = np.empty(len(hyper))
        pulled = pull * plain
        for index, slope in enumerate(_slopes(self._differences, self._columns, hyper)):
            gradient[index] = -0.5 * float(np.sum(pulled * slope))
        gradient[-1] = -float(np.trace(pull)) * math.exp(2 * hyper[-1])
        means = typical(self._columns)
        spreads = np.full(len(hyper), _PRIOR_SPREAD)
        spreads[-1] = _NOISE_PRIOR[1]
        away = (hyper - means) / spreads
        return loss + 0.5 * float(away @ away), gradient + away / spreads


def typical(columns: Columns) -> Floats:
    """Log length scales that are typical of so many settings, and the log noise: what a fit begins with."""
    count = len(columns.numeric) + len(columns.nominal)
    typical = math.log(0.5) + 0.5 * math.log(max(1, count))
    return np.array([typical] * count + [_NOISE_PRIOR[0]])


def _differences(columns: Columns, a: Floats, b: Floats) -> list[Floats]:
    """(N, M) for each setting: how far two of its values are apart."""
    numeric = [np.abs(a[:, None, c] - b[None, :, c]) for c in columns.numeric]
    nominal = [(a[:, None, c] != b[None, :, c]).astype(np.float64) for c in columns.nominal]
    return numeric + nominal


def _kernel(differences: list[Floats], columns: Columns, hyper: Floats) -> Floats:
    square, apart = _distances(differences, columns, hyper)
    scaled = np.sqrt(5.0 * square)
    return np.asarray((1.0 + scaled + scaled * scaled / 3.0) * np.exp(-scaled - apart))


def _distances(differences: list[Floats], columns: Columns, hyper: Floats) -> tuple[Floats, Floats]:
    square, apart = np.zeros_like(differences[0]), np.zeros_like(differences[0])
    for index, difference in enumerate(differences):
        inverse = math.exp(-hyper[index])
        if index < len(columns.numeric):
            square += (difference * inverse) ** 2
        else:
            apart += difference * inverse
    return square, apart


def _slopes(differences: list[Floats], columns: Columns, hyper: Floats) -> list[Floats]:
    """Of the kernel's logarithm in each log length scale."""
    square, _ = _distances(differences, columns, hyper)
    scaled = np.sqrt(5.0 * square)
    # d log k / d square = -(5/6) (1 + s) / (1 + s + s^2/3) for Matern 5/2
    of_square = -(5.0 / 6.0) * (1.0 + scaled) / (1.0 + scaled + scaled * scaled / 3.0)
    found = []
    for index, difference in enumerate(differences):
        inverse = math.exp(-hyper[index])
        if index < len(columns.numeric):
            found.append(of_square * -2.0 * (difference * inverse) ** 2)
        else:
            found.append(difference * inverse)
    return found
