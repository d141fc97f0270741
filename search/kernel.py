"""How alike two recipes are, from 0 to 1, by their settings.

A setting that is a number has a Matern 5/2 kernel, one that is not has a length for "the same" against "another". The
kernel is part sum over the settings and part product (Duvenaud et al. 2011, Additive Gaussian processes): the sum
learns from a dozen trials what each setting does by itself, the product what they do together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ADDED = 0.6
"""Of the kernel, that is a sum over the settings; the rest is their product."""

_LEAST = 1e-300
"""What a product is divided by at least, to leave one of its factors out."""

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


class Inputs:
    """(N, D) inputs, and the values of each column; looked at once, however many kernels are asked for."""

    def __init__(self, rows: Floats) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def values(self) -> list[tuple[Floats, NDArray[np.intp] | None]]:
        """Of each column its values, and which of them each input has; None where the values stand as they are, one for
        each input or one for all."""
        return [_values(self.rows[:, column]) for column in range(self.rows.shape[1])]


def _values(column: Floats) -> tuple[Floats, NDArray[np.intp] | None]:
    if len(column) < _MANY:
        return column, None
    if np.all(column == column[0]):
        return column[:1], None
    values, where = np.unique(column, return_inverse=True)
    return values, where


@dataclass(frozen=True)
class Alike:
    """How alike pairs of inputs are, of whatever shape P."""

    columns: Columns
    settings: Floats
    """(settings, *P): two values of each setting, from 0 to 1."""
    studies: Floats
    """(studies, *P): likewise, what else there is worth between two studies."""
    steps: Floats
    """(settings + studies, *P): how that changes with the log of each length scale."""

    @cached_property
    def kernel(self) -> Floats:
        """(*P,) of each pair."""
        found = self.settings.sum(axis=0)
        found *= _ADDED / self.columns.settings
        found += (1.0 - _ADDED) * self._product
        return np.asarray(found * self.studies.prod(axis=0) if len(self.studies) else found)

    def slopes(self, weights: Floats) -> Floats:
        """(settings + studies,) the sum of the kernel's slopes in each log length scale, times ``weights`` (*P,)."""
        count = len(self.settings)
        # In place: to fetch memory for what is as large as this takes longer than the sums do.
        found = np.empty_like(self.steps)
        np.maximum(self.settings, _LEAST, out=found[:count])
        np.divide((1.0 - _ADDED) * self._product, found[:count], out=found[:count])
        found[:count] += _ADDED / count
        if len(self.studies):
            found[:count] *= self.studies.prod(axis=0)
            np.divide(self.kernel, np.maximum(self.studies, _LEAST), out=found[count:])
        found *= self.steps
        return np.asarray(found.reshape(len(found), -1) @ weights.ravel())

    @cached_property
    def _product(self) -> Floats:
        return np.asarray(self.settings.prod(axis=0))


def between(columns: Columns, a: Inputs, b: Floats, hyper: Floats) -> Floats:
    """(N, M) the kernel of (N, D) and (M, D) inputs. Each value that a setting has in ``a`` is looked at once: of some
    hundred candidates most have one of a few."""
    shape = len(a), len(b)
    added, multiplied, study = np.zeros(shape), np.ones(shape), np.ones(shape) if columns.studies else None
    found = np.empty(shape)
    every = (*columns.numeric, *columns.nominal, *columns.studies)
    for index, (column, inverse) in enumerate(zip(every, np.exp(-hyper[:-1]), strict=True)):
        values, where = a.values[column]
        if index < len(columns.numeric):
            root = np.abs(np.subtract.outer(values, b[:, column])) * (math.sqrt(5.0) * inverse)
            each = _matern(root, np.exp(-root))
        else:
            each = _same(np.not_equal.outer(values, b[:, column]), inverse)
        if where is not None:
            each = np.take(each, where, axis=0, out=found, mode="clip")  # the mode that needs no copy
        if index < columns.settings:
            added += each
            multiplied *= each
        elif study is not None:
            study *= each
    added *= _ADDED / columns.settings
    multiplied *= 1.0 - _ADDED
    added += multiplied
    return added if study is None else np.multiply(added, study, out=added)


def differences(columns: Columns, a: Floats, b: Floats) -> Floats:
    """(settings, N, M): how far two values of each setting are apart."""
    found = np.empty((columns.count, len(a), len(b)))
    for index, column in enumerate(columns.numeric):
        np.subtract.outer(a[:, column], b[:, column], out=found[index])
    for index, column in enumerate((*columns.nominal, *columns.studies), len(columns.numeric)):
        np.not_equal.outer(a[:, column], b[:, column], out=found[index])
    return np.abs(found, out=found)


def alike(apart: Floats, columns: Columns, hyper: Floats) -> Alike:
    """How alike pairs are whose values are so far ``apart``, (settings, *P); see ``differences``."""
    count = len(columns.numeric)
    inverse = np.exp(-hyper[:-1]).reshape(-1, *[1] * (apart.ndim - 1))
    likeness, steps = np.empty_like(apart), np.empty_like(apart)
    root = apart[:count] * (math.sqrt(5.0) * inverse[:count])
    decay = np.exp(-root)
    _matern(root, decay, out=likeness[:count])
    np.multiply(root, root, out=steps[:count])
    root += 1.0
    steps[:count] *= root
    steps[:count] /= 3.0
    steps[:count] *= decay
    _same(apart[count:], inverse[count:], out=likeness[count:])
    np.multiply(apart[count:], inverse[count:] * np.exp(-inverse[count:]), out=steps[count:])
    return Alike(columns, likeness[: columns.settings], likeness[columns.settings :], steps)


def _matern(root: Floats, decay: Floats, out: Floats | None = None) -> Floats:
    """Of distances in lengths, times the root of 5, and of what their exponentials come to."""
    found = np.divide(root, 3.0, out=out)
    found += 1.0
    found *= root
    found += 1.0
    found *= decay
    return np.asarray(found)


def _same(other: Floats | NDArray[np.bool_], inverse: Floats, out: Floats | None = None) -> Floats:
    """Of 1 where two values are not the same and 0 where they are."""
    found = np.multiply(other, 1.0 - np.exp(-inverse), out=out)
    return np.subtract(1.0, found, out=found)
