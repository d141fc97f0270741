"""Weights on the simplex, as mix policies make them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def scaled(weights: Sequence[float]) -> tuple[float, ...]:
    """The weights over their sum; even where that is zero."""
    total = sum(weights)
    return tuple(weight / total if total else 1 / len(weights) for weight in weights)


def softmax(logits: Sequence[float]) -> tuple[float, ...]:
    """``exp(x_j) / sum exp(x)``."""
    top = max(logits)
    return scaled([math.exp(logit - top) for logit in logits])


def capped(weights: Sequence[float], bounds: Sequence[float]) -> tuple[float, ...]:
    """The weights with none above its bound; what is cut off goes to the others in proportion to their weights.

    Where the bounds leave no room for all of it, they are all raised by one factor until they do.

    Args:
        weights: on the simplex.
        bounds: in the same order, not all zero.
    """
    room = sum(bounds)
    limits = [bound / room if room < 1 else bound for bound in bounds]
    full: set[int] = set()
    while True:
        free = [j for j in range(len(weights)) if j not in full]
        left = 1 - sum(limits[j] for j in full)
        total = sum(weights[j] for j in free)
        shares = {j: left * (weights[j] / total if total else 1 / len(free)) for j in free}
        over = {j for j in free if shares[j] > limits[j] + 1e-12}
        if not over:
            return tuple(limits[j] if j in full else shares[j] for j in range(len(weights)))
        full |= over


def repeats(sizes: Sequence[int], trained: int, most: float) -> tuple[float, ...]:
    """Bounds of weights so that no source is gone through more than ``most`` times.

    Args:
        sizes: rows of each source.
        trained: rows that the stage trains on in all.
    """
    return tuple(min(1.0, most * size / trained) for size in sizes)


def dirichlet(
    prior: Sequence[float], count: int, chance: Any, *, strengths: tuple[float, float] = (0.1, 5.0)
) -> list[tuple[float, ...]]:
    """``count`` mixtures around a prior, from near single sources to near the prior: RegMix, arXiv 2407.01492.

    Each is drawn from ``Dirichlet(s p)`` with ``p`` in proportion to the square root of the prior, as RegMix's code has
    it, and ``s`` drawn from 15 strengths evenly apart on a log scale.

    Args:
        prior: on the simplex; a source of weight 0 stays out.
        chance: a numpy generator.
        strengths: the least and the largest.
    """
    import numpy

    some = [j for j, weight in enumerate(prior) if weight > 0]
    base = numpy.asarray(scaled([math.sqrt(prior[j]) for j in some]))
    made = []
    for strength in chance.choice(numpy.geomspace(*strengths, 15), size=count):
        drawn = chance.dirichlet(numpy.maximum(base * strength, 1e-3))
        mixture = [0.0] * len(prior)
        for j, weight in zip(some, scaled(drawn.tolist()), strict=True):
            mixture[j] = weight
        made.append(tuple(mixture))
    return made
