"""What a score is expected to be where nothing was tried: a Gaussian process over settings, with the kernel of
``kernel.py``.

One process covers all kinds of recipes: how much a kind learns from its siblings is a length that the data decide.
Lengths have log-normal priors that grow with the number of settings (Hvarfner et al. 2024, arXiv 2402.02229, section
4), without which a dozen trials would not pin them down.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunewright.search.kernel import Columns, Floats, Inputs, alike, between, differences

_JITTER = 1e-8
_PRIOR_SPREAD = 1.0
"""Standard deviation of a log length scale."""
_NOISE_PRIOR = (math.log(0.4), 1.0)
"""Mean and standard deviation of the log of the noise's standard deviation, the scores' being 1."""
_MOST_NOISE = 0.5
"""Of the scores' spread: what seems noisier than that is no reason to learn nothing."""
_STEPS = 7
"""Iterations of the fit at most."""
_FITTED = 64
"""Observations that the hyperparameters are fitted to; all are taken for the predictions."""
_REMEMBERED = 16
"""Fits that are kept: a sampler and a scheduler ask about the same trials in turn."""
_LEAST_SPREAD = 1e-9
Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]
_NOISES = 2.0
"""Known noises that the scores' spread is taken to be at least."""


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

    @staticmethod
    def of(columns: Columns, inputs: Floats, scores: Floats, **rest: Floats) -> Surrogate:
        """Likewise; the same observations are fitted once, however often one asks in turn."""
        given = (np.ascontiguousarray(one, dtype=np.float64).tobytes() for one in (inputs, scores, *rest.values()))
        return _remembered(columns, tuple(rest), *given)

    @property
    def noise(self) -> float:
        """Standard deviation of one observation, in the scores' unit."""
        return float(math.exp(self.hyper[-1]) * self.spread)

    def predict(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noiseless score at (M, D) inputs: (M,) each."""
        cross = between(self._columns, inputs, self._inputs, self.hyper)
        from scipy.linalg import solve_triangular

        solved = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = np.maximum(1.0 - np.sum(solved * solved, axis=0), 1e-12)
        return self._mean(cross), self.spread * np.sqrt(variance)

    def mean(self, inputs: Inputs) -> Floats:
        """Of ``predict`` the mean alone, which costs less: (M,)."""
        return self._mean(between(self._columns, inputs, self._inputs, self.hyper))

    def joint(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Mean (M,) and covariance (M, M) of the noiseless scores at (M, D) inputs together."""
        from scipy.linalg import solve_triangular

        cross = between(self._columns, inputs, self._inputs, self.hyper)
        solved = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        return self._mean(cross), self.spread**2 * (
            between(self._columns, inputs, inputs.rows, self.hyper) - solved.T @ solved
        )

    def _mean(self, cross: Floats) -> Floats:
        return np.asarray(self._centre + self.spread * (cross @ self._weights))

    def _solved(self) -> tuple[Floats, Floats]:
        from scipy.linalg import cho_solve, cholesky

        plain = between(self._columns, Inputs(self._inputs), self._inputs, self.hyper)
        factor = cholesky(_noisy(plain, self.hyper, self._known), lower=True, check_finite=False)
        return factor, cho_solve((factor, True), self._targets, check_finite=False)


@lru_cache(_REMEMBERED)
def _remembered(columns: Columns, names: tuple[str, ...], *said: bytes) -> Surrogate:
    """For (N, D) inputs, (N,) scores and what else ``Surrogate`` takes, by name, each array as its bytes."""
    inputs, scores, *rest = (np.frombuffer(one) for one in said)
    return Surrogate(columns, inputs.reshape(len(scores), -1), scores, **dict(zip(names, rest, strict=True)))


def _fitted(columns: Columns, inputs: Floats, targets: Floats, known: Floats, start: Floats) -> Floats:
    """The most probable hyperparameters, by an even sample of the observations where there are many."""
    from scipy.optimize import minimize

    if len(targets) > _FITTED:
        chosen = np.linspace(0, len(targets) - 1, _FITTED).round().astype(int)
        inputs, targets, known = inputs[chosen], targets[chosen], known[chosen]
    bounds = [(mean - 3.0, mean + 3.0) for mean in start[:-1]] + [(math.log(0.01), math.log(_MOST_NOISE))]
    pairs = np.tril_indices(len(targets), -1)
    apart = np.ascontiguousarray(differences(columns, inputs, inputs)[:, *pairs])
    found = minimize(
        _loss,
        start,
        args=(columns, apart, pairs, targets, known, start),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _STEPS},
    )
    return np.asarray(found.x if np.all(np.isfinite(found.x)) else start, dtype=np.float64)


def _loss(
    hyper: Floats, columns: Columns, apart: Floats, pairs: Pairs, targets: Floats, known: Floats, means: Floats
) -> tuple[float, Floats]:
    """The negative log posterior of the hyperparameters and its gradient.

    Args:
        apart: (settings, P) of every two inputs, see ``differences``.
        pairs: rows and columns of those in a matrix, below its diagonal.
    """
    from scipy.linalg import cho_solve, cholesky, lapack

    near = alike(apart, columns, hyper)
    covariance = np.zeros((len(targets), len(targets)), order="F")
    covariance[pairs] = near.kernel
    factor = cholesky(_noisy(covariance, hyper, known), lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve((factor, True), targets, check_finite=False)
    loss = 0.5 * float(targets @ weights) + float(np.sum(np.log(np.diag(factor))))
    inverse, _ = lapack.dpotri(factor, lower=True)  # its lower half
    gradient = np.empty(len(hyper))
    gradient[:-1] = -near.slopes(weights[pairs[0]] * weights[pairs[1]] - inverse[pairs])  # each pair stands twice
    gradient[-1] = -float(weights @ weights - np.trace(inverse)) * math.exp(2 * hyper[-1])
    spreads = np.full(len(hyper), _PRIOR_SPREAD)
    spreads[-1] = _NOISE_PRIOR[1]
    away = (hyper - means) / spreads
    return loss + 0.5 * float(away @ away), gradient + away / spreads


def _noisy(plain: Floats, hyper: Floats, known: Floats) -> Floats:
    """The covariance of noisy scores: the kernel with another diagonal, of which each input's with itself is 1."""
    np.fill_diagonal(plain, 1.0 + known + math.exp(2 * hyper[-1]) + _JITTER)
    return plain


def typical(columns: Columns) -> Floats:
    """Log length scales that are typical of so many settings, and the log noise: what a fit begins with."""
    typical = math.log(0.4) + 0.5 * math.log(max(1, columns.settings))
    return np.array([typical] * columns.count + [_NOISE_PRIOR[0]])
