"""A data mixing law: how a source's loss depends on the mixture. Ye et al., arXiv 2403.16952, section 3.

``L(p) = c + k exp(sum_j t_j p_j)``. On the simplex a constant added to every ``t_j`` is a factor of ``k``, so ``k`` is
1 here and nothing is lost. A sum of such laws with positive weights is convex in ``p``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from scipy.optimize import minimize

DELTA = 0.05
"""Of Huber's loss: residuals above it count linearly."""
_MOST = 30.0
"""Bound of exponents, so that none overflows while a fit looks around."""


@dataclass(frozen=True)
class Law:
    """One source's."""

    floor: float
    """``c``, nats a token."""
    slopes: tuple[float, ...]
    """``t``."""

    def __call__(self, mixtures: Any) -> Any:
        """(n,) losses of (n, sources) mixtures."""
        return self.floor + numpy.exp(numpy.clip(numpy.asarray(mixtures) @ numpy.asarray(self.slopes), None, _MOST))


def fit(mixtures: Sequence[Sequence[float]], losses: Sequence[float]) -> Law:
    """The law with the least Huber loss, by L-BFGS from a grid of beginnings.

    Args:
        mixtures: (n, sources), each on the simplex.
        losses: (n,), nats a token.
    """
    p, wanted = numpy.asarray(mixtures, dtype=float), numpy.asarray(losses, dtype=float)
    least, spread = wanted.min(), max(float(wanted.max() - wanted.min()), 1e-6)
    best: tuple[float, Law] | None = None
    for share in (0.5, 0.8, 0.95, 1.0):
        floor = share * least - 0.1 * spread
        # A straight line through the logarithm of what is above the floor is near the law that has this floor.
        slopes = numpy.linalg.lstsq(p, numpy.log(numpy.maximum(wanted - floor, 1e-9)), rcond=None)[0]
        for tilt in (0.0, 0.5):
            start = numpy.concatenate([[floor], slopes * (1 - tilt)])
            found = minimize(_huber, start, args=(p, wanted), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
            if best is None or found.fun < best[0]:
                best = float(found.fun), Law(float(found.x[0]), tuple(found.x[1:].tolist()))
    assert best is not None
    return best[1]


def lowest(laws: Sequence[Law], weights: Sequence[float], bounds: Sequence[float]) -> tuple[float, ...]:
    """The mixture of the lowest weighted sum of losses.

    Args:
        weights: of the laws, none negative.
        bounds: the most that each source may weigh; they leave room for a mixture.
    """
    count = len(bounds)
    slopes, scale = numpy.array([law.slopes for law in laws]), numpy.asarray(weights, dtype=float)

    def total(p: Any) -> tuple[float, Any]:
        above = scale * numpy.exp(numpy.clip(slopes @ p, None, _MOST))
        return float(above.sum()), slopes.T @ above

    start = numpy.asarray(bounds) / sum(bounds)
    found = minimize(
        total, start, jac=True, method="SLSQP", bounds=[(0.0, bound) for bound in bounds],
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1, "jac": lambda p: numpy.ones(count)},
        options={"maxiter": 500, "ftol": 1e-12},
    )  # fmt: skip
    p = numpy.clip(found.x, 0, None)
    return tuple((p / p.sum()).tolist())


def _huber(parameters: Any, p: Any, wanted: Any) -> tuple[float, Any]:
    """Summed over the samples, with its gradient."""
    above = numpy.exp(numpy.clip(p @ parameters[1:], None, _MOST))
    off = parameters[0] + above - wanted
    small = numpy.abs(off) <= DELTA
    value = numpy.where(small, off**2 / 2, DELTA * (numpy.abs(off) - DELTA / 2))
    slope = numpy.clip(off, -DELTA, DELTA)
    return float(value.sum()), numpy.concatenate([[slope.sum()], p.T @ (slope * above)])
