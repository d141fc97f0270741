"""How alike two recipes are, from 0 to 1, by their settings.

A setting that is a number has a Matern 5/2 kernel, one that is not has a length for "the same" against "another". The
kernel is part sum over the settings and part product (Duvenaud et al. 2011, Additive Gaussian processes): the sum
learns from a dozen trials what each setting does by itself, the product what they do together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ADDED = 0.6
"""Of the kernel, that is a sum over the settings; the rest is their product."""

_MANY = 64
"""Inputs, of which it is worth while to look for those that have a value in common."""


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


def between(columns: Columns, a: Floats, b: Floats, hyper: Floats) -> Floats:
    """(N, M) the kernel of (N, D) and (M, D) inputs. Each value that a setting has in ``a`` is looked at once: of some
    hundred candidates most have one of a few."""
    if len(a) < _MANY:
        return kernel(alike(differences(columns, a, b), columns, hyper), columns)
    shape = len(a), len(b)
    added, multiplied, study = np.zeros(shape), np.ones(shape), np.ones(shape)
    every = (*columns.numeric, *columns.nominal, *columns.studies)
    for index, (column, inverse) in enumerate(zip(every, np.exp(-hyper[:-1]), strict=True)):
        values, where = np.unique(a[:, column], return_inverse=True)
        if index < len(columns.numeric):
            found = _matern(np.abs(np.subtract.outer(values, b[:, column])), inverse)[where]
        else:
            found = _same(np.not_equal.outer(values, b[:, column]), inverse)[where]
        if index < columns.settings:
            added += found
            multiplied *= found
        else:
            study *= found
    return (_ADDED / columns.settings * added + (1.0 - _ADDED) * multiplied) * study


def differences(columns: Columns, a: Floats, b: Floats) -> Floats:
    """(settings, N, M): how far two values of each setting are apart."""
    found = np.empty((columns.count, len(a), len(b)))
    for index, column in enumerate(columns.numeric):
        np.subtract.outer(a[:, column], b[:, column], out=found[index])
    for index, column in enumerate((*columns.nominal, *columns.studies), len(columns.numeric)):
        np.not_equal.outer(a[:, column], b[:, column], out=found[index])
    return np.abs(found, out=found)


def alike(apart: Floats, columns: Columns, hyper: Floats) -> Floats:
    """(settings, N, M): how alike two values of each setting are, from 0 to 1."""
    count = len(columns.numeric)
    inverse = np.exp(-hyper[:-1])[:, None, None]
    return np.concatenate([_matern(apart[:count], inverse[:count]), _same(apart[count:], inverse[count:])])


def kernel(likeness: Floats, columns: Columns) -> Floats:
    """(N, M) of how alike two values of each setting are, (settings, N, M)."""
    settings, studies = likeness[: columns.settings], likeness[columns.settings :]
    of_settings = _ADDED / columns.settings * settings.sum(axis=0) + (1.0 - _ADDED) * settings.prod(axis=0)
    return of_settings * studies.prod(axis=0) if len(studies) else np.asarray(of_settings)


def slopes(apart: Floats, likeness: Floats, columns: Columns, hyper: Floats, weights: Floats) -> Floats:
    """(settings,) the sum of the kernel's slopes in each log length scale, times ``weights`` (N, M).

    Args:
        apart: see ``differences``.
        likeness: see ``alike``.
    """
    count, settings = len(columns.numeric), columns.settings
    inverse = np.exp(-hyper[:-1])[:, None, None]
    steps = np.empty_like(apart)
    root = apart[:count] * (math.sqrt(5.0) * inverse[:count])
    steps[:count] = root * root * (1.0 + root) / 3.0 * np.exp(-root)
    steps[count:] = apart[count:] * (inverse[count:] * np.exp(-inverse[count:]))
    studies = likeness[settings:].prod(axis=0)
    product = likeness[:settings].prod(axis=0)
    every = weights * studies
    found = np.empty(columns.count)
    for index in range(settings):
        others = (1.0 - _ADDED) * product / np.maximum(likeness[index], 1e-300)
        found[index] = float(np.sum(every * (_ADDED / settings + others) * steps[index]))
    whole = weights * (_ADDED * likeness[:settings].mean(axis=0) + (1.0 - _ADDED) * product)
    for index in range(settings, columns.count):
        others = studies / np.maximum(likeness[index], 1e-300)
        found[index] = float(np.sum(whole * others * steps[index]))
    return found


def _matern(apart: Floats, inverse: Floats) -> Floats:
    """Of distances, with the lengths' inverses."""
    root = apart * (math.sqrt(5.0) * inverse)
    return np.asarray((1.0 + root * (1.0 + root / 3.0)) * np.exp(-root))


def _same(other: Floats | NDArray[np.bool_], inverse: Floats) -> Floats:
    """Of 1 where two values are not the same and 0 where they are."""
    return np.asarray(1.0 - other * (1.0 - np.exp(-inverse)))
