"""The hybrid graph of passages, and what a passage's place in it is worth.

From the paper (arXiv 2604.23277; its abstract and overview, the rest could not be read): edges between mutual nearest
neighbours and between neighbours in the text; clusters as a skeleton of topics; a score of task relevance, cluster
representativeness, bridge centrality and cycle coverage. Ours, since no numbers were to be had: k = 8, a window of 2
with weights 1 and 1/2, spherical k-means with ceil(sqrt(n)) clusters, bridges as betweenness over shortest paths of at
most 8 edges of passages that have an edge into another cluster, cycles as the short ones of the fundamental basis that
a breadth-first tree gives (Paton 1969), and what is next to each other in a history: a trial and the one it comes
from, and what was said of a trial.

Traps: a window of 2 alone makes a triangle of every three neighbours, so a cycle counts only if an edge of it is one of
likeness; ties are broken by place, or equal trials would make the outcome hang on the machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewright.agents.context.passage import Passage
from tunewright.agents.context.vectors import Floats

NEIGHBOURS = 8
WINDOW = 2
LONGEST_PATH = 8
LONGEST_CYCLE = 6
_PIVOTS = 128
"""Sources that betweenness is summed over: evenly spaced, where there are more passages (Brandes and Pich 2007)."""
_ROUNDS = 8
"""Of k-means."""


@dataclass(frozen=True)
class HybridGraph:
    """Weights of edges between passages; symmetric, the diagonal is zero."""

    alike: Floats
    """(n, n) cosine of mutual nearest neighbours, else zero."""
    sequence: Floats
    """(n, n) of what is next to each other in time or descent, else zero."""

    @property
    def linked(self) -> NDArray[np.bool_]:
        """(n, n) whether there is an edge of either kind."""
        return (self.alike > 0) | (self.sequence > 0)


def hybrid_graph(passages: Sequence[Passage], cosine: Floats) -> HybridGraph:
    """The graph over passages in their order in time.

    Args:
        cosine: (n, n) of their vectors.
    """
    return HybridGraph(_mutual(cosine), _sequence(passages))


def clusters(rows: Floats) -> NDArray[np.int64]:
    """Cluster of each row, by spherical k-means with ceil(sqrt(n)) centres, the first nearest to the mean and each next
    one farthest from those before it.
    """
    count = max(1, int(np.ceil(np.sqrt(len(rows)))))
    chosen = [int(np.argmax(rows @ rows.mean(0)))]
    nearest = rows @ rows[chosen[0]]
    while len(chosen) < count:
        far = int(np.argmin(nearest))
        if nearest[far] > 1 - 1e-9:
            break  # nothing differs any more
        chosen.append(far)
        nearest = np.maximum(nearest, rows @ rows[far])
    centres = rows[chosen]
    label = np.argmax(rows @ centres.T, axis=1)
    for _ in range(_ROUNDS):
        member = (label[:, None] == np.arange(len(centres))).astype(np.float64)
        sums = member.T @ rows
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.divide(sums, lengths, out=centres.copy(), where=lengths > 1e-12)
        moved = np.argmax(rows @ centres.T, axis=1)
        if (moved == label).all():
            break
        label = moved
    found: NDArray[np.int64] = label.astype(np.int64)
    return found


def representativeness(rows: Floats, label: NDArray[np.int64]) -> Floats:
    """Cosine of each row with the mean direction of its cluster."""
    member = (label[:, None] == np.arange(label.max() + 1)).astype(np.float64)
    sums = member.T @ rows
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    centres = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-12)
    found: Floats = (rows * centres[label]).sum(1)
    return found


def bridges(graph: HybridGraph, label: NDArray[np.int64]) -> Floats:
    """Betweenness (Freeman 1977; Brandes 2001), over short paths, of passages that have an edge into another cluster;
    zero for all others.
    """
    linked = graph.linked
    across = (linked & (label[:, None] != label[None, :])).any(1)
    found: Floats = np.where(across, _betweenness(linked), 0.0)
    return found


def cycles(graph: HybridGraph) -> Floats:
    """How many short cycles with an edge of likeness go through each passage: what says the same in another way, such
    as a recipe on a further seed, or one that was left and come back to.
    """
    linked = graph.linked
    n = len(linked)
    near = [np.flatnonzero(row).tolist() for row in linked]
    parent, depth = [-1] * n, [-1] * n
    for root in range(n):
        if depth[root] >= 0:
            continue
        depth[root], queue = 0, deque([root])
        while queue:
            here = queue.popleft()
            for there in near[here]:
                if depth[there] < 0:
                    parent[there], depth[there] = here, depth[here] + 1
                    queue.append(there)
    found = np.zeros(n)
    for a in range(n):
        for b in near[a]:
            if a < b and parent[a] != b and parent[b] != a:
                ring = _ring(a, b, parent, depth)
                if ring and any(graph.alike[x, y] > 0 for x, y in zip(ring, ring[1:] + ring[:1], strict=True)):
                    found[ring] += 1
    return found


def _ring(a: int, b: int, parent: list[int], depth: list[int]) -> list[int]:
    """The cycle that the edge closes in the tree; nothing if it is a long one."""
    left, right = [a], [b]
    while left[-1] != right[-1]:
        if len(left) + len(right) > LONGEST_CYCLE + 1:
            return []
        if depth[left[-1]] >= depth[right[-1]]:
            left.append(parent[left[-1]])
        else:
            right.append(parent[right[-1]])
    ring = left + right[-2::-1]
    return ring if len(ring) <= LONGEST_CYCLE else []


def _mutual(cosine: Floats) -> Floats:
    n = len(cosine)
    k = min(NEIGHBOURS, n - 1)
    if k < 1:
        return np.zeros_like(cosine)
    others = cosine.copy()
    np.fill_diagonal(others, -np.inf)
    # Rounded, so that what is equal but for the last bit is tied; a stable sort then takes the earlier one.
    nearest = np.argsort(-np.round(others, 9), axis=1, kind="stable")[:, :k]
    chosen = np.zeros((n, n), dtype=bool)
    np.put_along_axis(chosen, nearest, True, axis=1)
    found: Floats = np.where(chosen & chosen.T, np.maximum(cosine, 0.0), 0.0)
    np.fill_diagonal(found, 0.0)
    return found


def _sequence(passages: Sequence[Passage]) -> Floats:
    n = len(passages)
    made = np.zeros((n, n))
    for apart in range(1, min(WINDOW, n - 1) + 1):
        first = np.arange(n - apart)
        made[first, first + apart] = made[first + apart, first] = 0.5 ** (apart - 1)
    at_of = {one.id: at for at, one in enumerate(passages)}
    for at, one in enumerate(passages):
        for other in one.about:
            if other in at_of and at_of[other] != at:
                made[at, at_of[other]] = made[at_of[other], at] = 1.0
    return made


def _betweenness(linked: NDArray[np.bool_]) -> Floats:
    """Brandes' sums for all pivots at once, a level of the search at a time."""
    from scipy.sparse import csr_array

    n = len(linked)
    pivots = np.unique(np.linspace(0, n - 1, min(n, _PIVOTS)).round().astype(int))
    edges = csr_array(linked.astype(np.float64))
    paths = np.zeros((n, len(pivots)))
    paths[pivots, np.arange(len(pivots))] = 1.0
    levels, seen = [paths > 0], paths > 0
    while len(levels) <= LONGEST_PATH:
        reached = np.where(seen, 0.0, edges @ np.where(levels[-1], paths, 0.0))
        fresh = reached > 0
        if not fresh.any():
            break
        paths += reached
        seen = seen | fresh
        levels.append(fresh)
    credit = np.zeros_like(paths)
    for outer, inner in zip(levels[:0:-1], levels[-2::-1], strict=True):
        share = np.divide(1.0 + credit, paths, out=np.zeros_like(paths), where=outer)
        credit += np.where(inner, paths * (edges @ share), 0.0)
    credit[pivots, np.arange(len(pivots))] = 0.0
    found: Floats = credit.sum(1)
    return found
