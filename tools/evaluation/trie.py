"""Labels as a tree of tokens: what they share is computed once, and all of them in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Trie:
    """The labels' tokens as a tree under the prompt's last token.

    A node is a token that something comes after; it has to be run through the model. Node 0 is the prompt's last
    token, nodes 1..M follow the prompt in the sequence, parents before children. An edge is a token to be scored
    after a node.
    """

    tokens: tuple[int, ...]
    """(M,) token of each node but the root."""
    parents: tuple[int, ...]
    """(M,) parent of each node but the root."""
    edges: tuple[tuple[int, int], ...]
    """(E, 2) node and the token after it."""
    labels: tuple[tuple[int, ...], ...]
    """For each label, in the given order, the edges whose log-likelihoods it is the sum of."""

    @property
    def depths(self) -> list[int]:
        """(M,) tokens between the prompt's last one and each node: 1 for the first token of a label."""
        depths = [0]
        for parent in self.parents:
            depths.append(depths[parent] + 1)
        return depths[1:]

    def ancestors(self, node: int) -> list[int]:
        """The node (1..M) itself and those above it, without the root."""
        found = []
        while node:
            found.append(node)
            node = self.parents[node - 1]
        return found


def build(labels: Sequence[Sequence[int]], end: int) -> Trie:
    """The tree of ``labels``.

    Args:
        labels: token ids of each label, without an end token.
        end: the end token. It is made part of every label if some label is the beginning of another, since only
            with it does the shorter one not contain the longer one's probability.
    """
    if _one_begins_another(labels):
        labels = [[*label, end] for label in labels]
    tokens: list[int] = []
    parents: list[int] = []
    node_of: dict[tuple[int, ...], int] = {(): 0}
    inner = sorted({tuple(label[:n]) for label in labels for n in range(1, len(label))}, key=lambda p: (len(p), p))
    for path in inner:
        node_of[path] = len(node_of)
        tokens.append(path[-1])
        parents.append(node_of[path[:-1]])
    edges: dict[tuple[int, int], int] = {}
    of_label = [
        tuple(edges.setdefault((node_of[tuple(label[:n])], label[n]), len(edges)) for n in range(len(label)))
        for label in labels
    ]
    return Trie(tuple(tokens), tuple(parents), tuple(edges), tuple(of_label))


def _one_begins_another(labels: Sequence[Sequence[int]]) -> bool:
    whole = {tuple(label) for label in labels}
    return any(tuple(label[:n]) in whole for label in labels for n in range(len(label)))
