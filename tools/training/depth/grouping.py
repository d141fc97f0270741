"""How alike the layers of a model are, and which of them one layer can stand for: DevFT's layer grouping (DGLG).

arXiv 2508.00041: the similarity is the cosine of two layers' flattened parameters, what the adapter has learned among
them; the groups are k-means clusters of the rows of the eigenvectors that belong to the smallest eigenvalues of the
Laplacian ``D - S``. Ours: negative cosines count as none, since a Laplacian wants weights that are not negative; groups
that are contiguous, found exactly by dynamic programming; and what is done where clusters come out empty.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunewright.domain.depth import Depth, Grouping

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

Groups = tuple[tuple[int, ...], ...]
"""Numbers of layers, ascending in each group; the groups in the order of their first layers."""
_CHUNK = 2**18
"""Numbers of each layer that are compared at a time."""
_TRIES = 10
"""Starts of k-means, of which the best is taken."""


def groups_of(layers: Sequence[Any], depth: Depth, count: int, seed: int) -> Groups:
    """``count`` groups of the layers.

    Args:
        layers: modules with parameters of the same shapes, in the same order.
        seed: decides where the layers do not.
    """
    if count == len(layers):
        return tuple((layer,) for layer in range(count))
    if depth.grouping != "similarity":
        return ungrouped(depth.grouping, len(layers), count, seed, contiguous=depth.contiguous)
    alike = similarity(layers)
    return grouped_contiguously(alike, count) if depth.contiguous else grouped(alike, count, seed)


def similarity(layers: Sequence[Any]) -> Matrix:
    """(layers, layers) cosines of the flattened parameters.

    Args:
        layers: modules with parameters of the same shapes, in the same order.
    """
    import numpy as np
    import torch

    gram = torch.zeros(len(layers), len(layers), dtype=torch.float64)
    with torch.no_grad():
        for parts in zip(*(layer.parameters() for layer in layers), strict=True):
            flat = [part.detach().reshape(-1) for part in parts]
            for start in range(0, len(flat[0]), _CHUNK):
                rows = torch.stack([one[start : start + _CHUNK].double() for one in flat])
                gram += (rows @ rows.T).cpu()
    lengths = gram.diagonal().sqrt().clamp_min(1e-300)
    return np.asarray(gram / torch.outer(lengths, lengths))


def grouped(alike: Matrix, count: int, seed: int) -> Groups:
    """``count`` groups of layers by spectral clustering.

    Args:
        alike: (layers, layers), symmetric.
        seed: of k-means.
    """
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    found = KMeans(count, n_init=_TRIES, random_state=seed).fit_predict(embedding(alike, count))
    return _groups(found.tolist(), count)


def grouped_contiguously(alike: Matrix, count: int) -> Groups:
    """``count`` groups of layers that follow each other: of all such, those of the least squared distance to their
    means in the embedding that ``grouped`` clusters."""
    import numpy as np

    rows, total = embedding(alike, count), len(alike)
    sums = np.vstack([np.zeros(count), rows.cumsum(0)])
    squares = np.concatenate([[0.0], (rows**2).sum(1).cumsum()])

    def spread(first: int, end: int) -> float:
        inside = sums[end] - sums[first]
        return float(squares[end] - squares[first] - inside @ inside / (end - first))

    best = [[float("inf")] * (total + 1) for _ in range(count + 1)]
    cut = [[0] * (total + 1) for _ in range(count + 1)]
    best[0][0] = 0.0
    for groups in range(1, count + 1):
        for end in range(groups, total + 1):
            options = [(best[groups - 1][first] + spread(first, end), first) for first in range(groups - 1, end)]
            best[groups][end], cut[groups][end] = min(options)
    ends, at = [], total
    for groups in range(count, 0, -1):
        ends.append(at)
        at = cut[groups][at]
    return _between(sorted(ends))


def embedding(alike: Matrix, count: int) -> Matrix:
    """(layers, count): the eigenvectors of the ``count`` smallest eigenvalues of the Laplacian."""
    import numpy as np

    weights = np.clip(alike, 0.0, None)
    np.fill_diagonal(weights, 0.0)
    _, vectors = np.linalg.eigh(np.diag(weights.sum(1)) - weights)
    found: Matrix = vectors[:, :count]
    return found


def ungrouped(how: Grouping, layers: int, count: int, seed: int, *, contiguous: bool = False) -> Groups:
    """``count`` groups that no similarity has made: even ones that follow each other, or random ones."""
    if how == "even":
        return _between([(group + 1) * layers // count for group in range(count)])
    chance = random.Random(seed)
    if contiguous:
        return _between([*sorted(chance.sample(range(1, layers), count - 1)), layers])
    first = list(range(count)) + [chance.randrange(count) for _ in range(layers - count)]
    chance.shuffle(first)
    return _groups(first, count)


def _groups(labels: Sequence[int], count: int) -> Groups:
    """The groups of these labels; where there are too few, the largest is cut in two until there are enough."""
    by_label: dict[int, list[int]] = {}
    for layer, label in enumerate(labels):
        by_label.setdefault(label, []).append(layer)
    found = list(by_label.values())
    while len(found) < count:
        found.sort(key=len)
        largest = found.pop()
        half = len(largest) // 2
        found += [largest[:half], largest[half:]]
    return tuple(sorted(tuple(group) for group in found))


def _between(ends: Sequence[int]) -> Groups:
    return tuple(tuple(range(first, end)) for first, end in zip([0, *ends[:-1]], ends, strict=True))
