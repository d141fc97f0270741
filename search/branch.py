"""Which branch of the tree of decisions to look into next: UCT over normalised scores, with progressive widening.

Scores are normalised over the whole tree, so that the exploration constant means the same for any metric (Kocsis and
Szepesvari 2006 for UCT). Widening (Couetoux et al. 2011) lets a decision have as many options open as a power of its
visits: a study of twelve trials does not try thirty adapters once each. A branch is worth what its better half is: the
search looks for the best recipe of a kind, and a kind is not to blame for what was tried to find it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.search.decision import DecisionTree, Path


@dataclass(frozen=True)
class Visit:
    """One trial in the tree."""

    path: Path
    worth: float | None
    """From 0, the worst of the tree, to 1, the best; None while nothing is known of it. A recipe's own fault is 0."""


@dataclass(frozen=True)
class Descent:
    """Where to look and why."""

    path: Path
    reason: str


@dataclass
class _Node:
    visits: int = 0
    looks: int = 0
    """Of ``visits`` those that no trial made: see ``Branches.shortlist``."""
    worths: list[float] = field(default_factory=list)

    @property
    def worth(self) -> float:
        """Mean of the better half; 0.5 while nothing is known."""
        best = sorted(self.worths, reverse=True)[: max(1, math.ceil(len(self.worths) / 2))]
        return sum(best) / len(best) if best else 0.5


class Branches:
    """What was tried of a tree.

    Args:
        tree: of the space.
        visits: trials, those that run among them.
        worth: of the best that is expected after some decisions; by default what the better half of the visits is.
        exploration: weight of what was little tried; 0 is greedy.
        widening: (k, a): after N visits a decision has at most k * N^a options open.
        lean: what is guessed of the last of some decisions, from -1 to 0, the likeliest. As much of the exploration is
            taken off, and what is guessed to be likelier than all that was tried is open.
    """

    def __init__(
        self,
        tree: DecisionTree,
        visits: Sequence[Visit],
        *,
        worth: Callable[[Path], float] | None = None,
        exploration: float = 0.5,
        widening: tuple[float, float] = (1.0, 0.7),
        lean: Callable[[Path], float] | None = None,
    ) -> None:
        self._tree, self._worth, self._lean = tree, worth, lean
        self._exploration = exploration
        self._widening = widening
        self._nodes: dict[Path, _Node] = defaultdict(_Node)
        for visit in visits:
            for depth in range(len(visit.path) + 1):
                node = self._nodes[visit.path[:depth]]
                node.visits += 1
                if visit.worth is not None:
                    node.worths.append(visit.worth)

    def descend(self, promise: Callable[[Path], float]) -> Descent:
        """Follows the most promising decisions to a leaf.

        Args:
            promise: what an option that nobody tried here promises, the higher the better; of equals the first counts.
        """
        path: Path = ()
        reasons: list[str] = []
        while (due := self._tree.decision(path)) is not None:
            name, distribution = due
            first = self._tree.default(name)
            options = sorted(distribution.choices, key=lambda option: option != first)  # of equals the default first
            option, reason = self._choose(path, name, options, promise)
            if reason:
                reasons.append(reason)
            path = (*path, (name, option))
        return Descent(path, ", ".join(reasons[:2]) or "nothing is to be decided")

    def shortlist(self, promise: Callable[[Path], float], count: int) -> list[Descent]:
        """The leaves of up to ``count`` descents in turn, each of which the next takes for a visit without a score.

        Args:
            promise: see ``descend``.
        """
        found: dict[Path, Descent] = {}
        for _ in range(count):
            descent = self.descend(promise)
            found.setdefault(descent.path, descent)
            for depth in range(len(descent.path) + 1):
                node = self._nodes[descent.path[:depth]]
                node.visits, node.looks = node.visits + 1, node.looks + 1
        return list(found.values())

    def _choose(
        self, path: Path, name: str, options: Sequence[Any], promise: Callable[[Path], float]
    ) -> tuple[Any, str]:
        if len(options) == 1:
            return options[0], ""
        tried = [option for option in options if self._nodes[(*path, (name, option))].visits]
        visits = self._nodes[path].visits
        guessed = [option for option in options if self._ahead((*path, (name, option)), tried)]
        if guessed or len(tried) < min(len(options), self._open(visits)):
            fresh = guessed or [option for option in options if option not in tried]
            found = max(fresh, key=lambda option: promise((*path, (name, option))))
            return found, f"{found} unexplored"
        scores = {
            index: self._score((*path, (name, option)), visits)
            for index, option in enumerate(options)
            if option in tried
        }
        best = max(scores, key=lambda index: scores[index])
        node, whole = self._nodes[(*path, (name, options[best]))], self._nodes[path]
        said = f"{options[best]} again ({node.visits - node.looks} of {whole.visits - whole.looks})"
        return options[best], said if node.visits > node.looks else f"{options[best]} unexplored"

    def _ahead(self, path: Path, tried: Sequence[Any]) -> bool:
        """Whether an option that nobody tried is guessed to be likelier than all that somebody did."""
        *before, (name, option) = path
        if self._lean is None or option in tried:
            return False
        known = [self._lean((*before, (name, other))) for other in tried]
        return bool(known) and self._lean(path) > max(known)

    def _open(self, visits: int) -> int:
        k, a = self._widening
        return max(1, math.ceil(k * math.pow(visits, a)))

    def _score(self, path: Path, visits: int) -> float:
        node = self._nodes[path]
        worth = self._worth(path) if self._worth is not None else node.worth
        lean = self._exploration * self._lean(path) if self._lean is not None else 0.0
        return worth + self._exploration * math.sqrt(math.log(visits + 1) / node.visits) + lean
