"""Which passages are kept: scores over the hybrid graph, and a greedy choice to a budget.

From the paper (arXiv 2604.23277): what is scored, a greedy choice under a strict budget that holds redundancy down, and
the order of the text kept. From our notes on it, as its own numbers could not be read: weights of 0.45, 0.25, 0.2 and
0.1 of scores that are scaled from 0 to 1, ``score - 0.5 * cosine with the nearest that is chosen``, divided by the root
of the tokens, none that is closer than 0.9, one of each cluster. Ours: a prior of what a history knows of a piece's
worth, since the nearest to a question is not the best that was found; clusters are covered with half of the budget at
most; and what was passed over as too close comes last rather than leave a budget unspent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewright.agents.context.graph import bridges, clusters, cycles, hybrid_graph, representativeness
from tunewright.agents.context.passage import Passage
from tunewright.agents.context.vectors import Floats, vectors


@dataclass(frozen=True)
class Taste:
    """What counts, and how much."""

    relevance: float = 0.45
    representativeness: float = 0.25
    bridge: float = 0.2
    cycle: float = 0.1
    prior: float = 0.5
    redundancy: float = 0.5
    """Times the cosine with the nearest passage that is chosen, off the score."""
    too_close: float = 0.9
    """Cosine from which a passage waits until all others had their turn."""
    length_power: float = 0.5
    """Of the tokens that the score is divided by."""
    cover: bool = True
    """Whether each cluster gets its best passage first."""


TASTE = Taste()


def select(
    passages: Sequence[Passage],
    budget: int,
    *,
    query: str | Iterable[str] = "",
    taken: Sequence[int] = (),
    taste: Taste = TASTE,
) -> list[int]:
    """Places of the passages that are kept within ``budget`` tokens, ascending; ``taken`` are not among them.

    Args:
        passages: in their order in time.
        query: what it is for: words, or ids of passages. Nothing: what the whole is about.
        taken: those that are in already, and cost nothing.
    """
    free = [at for at in range(len(passages)) if at not in set(taken)]
    if sum(passages[at].tokens for at in free) <= budget:
        return free
    made = vectors(passages)
    cosine = np.clip(made.rows @ made.rows.T, -1.0, 1.0)
    label = clusters(made.rows)
    graph = hybrid_graph(passages, cosine)
    score = (
        taste.relevance * _scaled(made.rows @ _question(passages, made.rows, query, made.of_text))
        + taste.representativeness * _scaled(representativeness(made.rows, label))
        + taste.bridge * _scaled(bridges(graph, label))
        + taste.cycle * _scaled(cycles(graph))
        + taste.prior * np.array([one.prior for one in passages])
    )
    return sorted(_Choice(passages, score, cosine, taste, budget, taken).made(label))


def _question(
    passages: Sequence[Passage], rows: Floats, query: str | Iterable[str], of_text: Callable[[str], Floats]
) -> Floats:
    """The direction that relevance is measured along."""
    if isinstance(query, str):
        asked = of_text(query)
    else:
        wanted = set(query)
        which = [at for at, one in enumerate(passages) if one.id in wanted]
        asked = rows[which].mean(0) if which else np.zeros(rows.shape[1])
    found: Floats = asked if np.linalg.norm(asked) > 1e-12 else rows.mean(0)
    length = np.linalg.norm(found)
    return found / length if length > 1e-12 else found


class _Choice:
    """A greedy choice as it goes."""

    def __init__(
        self,
        passages: Sequence[Passage],
        score: Floats,
        cosine: Floats,
        taste: Taste,
        budget: int,
        taken: Sequence[int],
    ) -> None:
        self._passages, self._score, self._cosine, self._taste = passages, score, cosine, taste
        self._tokens = np.array([one.tokens for one in passages], dtype=np.float64)
        self._left = float(budget)
        self._open = np.ones(len(passages), dtype=bool)
        self._near = np.full(len(passages), -1.0)
        self._chosen: list[int] = []
        for at in taken:
            self._open[at] = False
            self._near = np.maximum(self._near, cosine[at])

    def made(self, label: NDArray[np.int64]) -> list[int]:
        if self._taste.cover:
            self._cover(label)
        self._fill(self._taste.too_close)
        self._fill(np.inf)
        return self._chosen

    def _cover(self, label: NDArray[np.int64]) -> None:
        """The best of each cluster that has none yet, the best clusters first."""
        had = {int(label[at]) for at in np.flatnonzero(~self._open)}
        floor = self._left / 2
        for at in np.argsort(-np.round(self._score, 9), kind="stable"):
            if int(label[at]) not in had and self._open[at] and self._left - self._tokens[at] >= floor:
                had.add(int(label[at]))
                self._take(int(at))

    def _fill(self, too_close: float) -> None:
        power = self._tokens**self._taste.length_power
        while True:
            may = self._open & (self._tokens <= self._left) & (self._near <= too_close)
            if not may.any():
                return
            worth = self._score - self._taste.redundancy * np.maximum(self._near, 0.0)
            worth = np.where(worth > 0, worth / power, worth * power)
            # Of equals the newest: the first from the end.
            self._take(len(may) - 1 - int(np.argmax(np.where(may, np.round(worth, 9), -np.inf)[::-1])))

    def _take(self, at: int) -> None:
        self._chosen.append(at)
        self._left -= self._tokens[at]
        self._open[at] = False
        self._near = np.maximum(self._near, self._cosine[at])


def _scaled(values: Floats) -> Floats:
    low, high = values.min(), values.max()
    found: Floats = (values - low) / (high - low) if high - low > 1e-12 else np.zeros_like(values)
    return found
