"""A bandit over a categorical attribute of rollouts: of each prompt's topic, which way of asking earns most.

LRPO's language router (Guo et al., arXiv 2605.25360) for any attribute: a language, a system prompt, a way to think.
Sampling, update and their constants are those of the authors' program; their second table, of regions, is left out, as
a topic may be any column. No torch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True)
class Routing:
    """How the router chooses and learns."""

    tau: float = 1.0
    """Temperature of the softmax over an arm's worth, at first."""
    least_tau: float = 0.3
    tau_decay: float = 0.999
    """By which it falls, each round."""
    explore: float = 0.2
    """Share of draws that are uniform, at first."""
    explore_decay: float = 0.995
    alpha: float = 0.1
    """How much of what was seen last goes into an arm's worth."""
    every: int = 5
    """Rounds between two updates."""


class RolloutArmRouter:
    """Draws arms and learns what they earn.

    Args:
        arms: how many there are.
    """

    def __init__(self, arms: int, routing: Routing) -> None:
        self.arms, self.routing = arms, routing
        self.rounds = 0
        self.worth: dict[str, list[float]] = {}
        """Topic -> of each arm."""
        self._seen: dict[str, list[list[float]]] = {}

    @property
    def tau(self) -> float:
        """Today's temperature."""
        return max(self.routing.least_tau, self.routing.tau * self.routing.tau_decay**self.rounds)

    def chances(self, topic: str) -> list[float]:
        """Probability of each arm for a prompt of this topic."""
        worth = self.worth.get(topic, [0.0] * self.arms)
        top = max(worth)
        weights = [math.exp((one - top) / self.tau) for one in worth]
        explore = self.routing.explore * self.routing.explore_decay**self.rounds
        total = math.fsum(weights)
        return [(1 - explore) * weight / total + explore / self.arms for weight in weights]

    def draw(self, topic: str, count: int, own: int, chance: random.Random) -> list[int]:
        """Arms of a group of answers: the first ``own`` are arm 0, the others are drawn."""
        own = min(own, count)
        return [0] * own + chance.choices(range(self.arms), self.chances(topic), k=count - own)

    def learn(self, topics: Sequence[str], arms: Sequence[int], rewards: Sequence[float]) -> None:
        """Takes in a round; every so often an arm's worth moves towards how it stands among the topic's arms."""
        for topic, arm, reward in zip(topics, arms, rewards, strict=True):
            self._seen.setdefault(topic, [[] for _ in range(self.arms)])[arm].append(reward)
        self.rounds += 1
        if self.rounds % self.routing.every:
            return
        for topic, seen in self._seen.items():
            self._move(topic, seen)
        self._seen = {}

    def _move(self, topic: str, seen: Sequence[Sequence[float]]) -> None:
        means = {arm: math.fsum(rewards) / len(rewards) for arm, rewards in enumerate(seen) if rewards}
        centre = math.fsum(means.values()) / len(means)
        deviation = math.sqrt(math.fsum((mean - centre) ** 2 for mean in means.values()) / len(means))
        worth, alpha = self.worth.setdefault(topic, [0.0] * self.arms), self.routing.alpha
        for arm, mean in means.items():
            score = (mean - centre) / (deviation + _LEAST_DEVIATION)
            worth[arm] = (1 - alpha) * worth[arm] + alpha * score

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"rounds": self.rounds, "worth": self.worth, "seen": self._seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        self.rounds = int(state["rounds"])
        self.worth = {topic: list(worth) for topic, worth in state["worth"].items()}
        self._seen = {topic: [list(one) for one in seen] for topic, seen in state["seen"].items()}
