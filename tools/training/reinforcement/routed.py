"""Rollouts whose prompts are asked in one of several ways, which a router chooses."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.tools.data.rows import Row
from tunewright.tools.training.learning import Begin
from tunewright.tools.training.reinforcement.algorithm import Algorithm
from tunewright.tools.training.reinforcement.learning import PolicyLearning
from tunewright.tools.training.reinforcement.rollout import Rollout, spoken
from tunewright.tools.training.reinforcement.router import RolloutArmRouter, Routing
from tunewright.tools.training.scoreboard import open_rewards
from tunewright.tools.training.sources import seeded


class RoutedLearning(PolicyLearning):
    """Groups of answers to one prompt asked in several ways.

    Args:
        settings: an ``LrpoConfig``.
    """

    def __init__(self, model: Any, settings: Any, begin: Begin, algorithm: Algorithm) -> None:
        super().__init__(model, settings, begin, algorithm)
        names = Routing.__dataclass_fields__
        self.router = RolloutArmRouter(len(settings.arms), Routing(**{name: getattr(settings, name) for name in names}))
        self.kept = {
            arm: open_rewards([way.must], self.court) for arm, way in enumerate(settings.arms) if way.must is not None
        }

    def asked(self, places: Sequence[int], step: int, draw: int) -> tuple[list[Row], list[list[int]], list[int]]:
        """Each row as often as its group is large, asked in the ways that were drawn for it."""
        rows: list[Row] = []
        prompts: list[list[int]] = []
        arms: list[int] = []
        for at, place in enumerate(places):
            row = self.data.rows[place]
            chance = random.Random(seeded(self.begin.seed, step, draw, at, "arms"))
            drawn = self.router.draw(self.topic(row), self.settings.group, self.settings.own, chance)
            ways = {arm: self.put(row, arm, place) for arm in set(drawn)}
            rows += [row] * len(drawn)
            prompts += [ways[arm] for arm in drawn]
            arms += drawn
        return rows, prompts, arms

    def put(self, row: Row, arm: int, place: int) -> list[int]:
        """The row's prompt, asked in this way."""
        says = self.settings.arms[arm].says
        if not says:
            return self.data.encoded[place].prompt
        asked: Any = {**row, "input": f"{says}\n{row['input']}"}
        if row.get("messages"):
            *before, said, answer = row["messages"]
            asked["messages"] = [*before, {**said, "content": f"{says}\n{said['content'] or ''}"}, answer]
        return self.data.form.encode(asked).prompt

    def topic(self, row: Row) -> str:
        """What the row is about, as far as the router tells rows apart."""
        column = self.settings.topic
        return str(row.get(column, row.get("meta", {}).get(column, "")))

    def rewarded(self, rollout: Rollout) -> None:
        """Less what its way of asking is known to earn more; and nothing where the way was not kept to."""
        super().rewarded(rollout)
        ways = self.settings.arms
        rollout.rewards = [worth - ways[arm].bias for worth, arm in zip(rollout.rewards, rollout.arms, strict=True)]
        for arm, board in self.kept.items():
            places = [at for at, drawn in enumerate(rollout.arms) if drawn == arm]
            kept = board(spoken(rollout.at(places), self.data.form)).total
            for at, worth in zip(places, kept, strict=True):
                if worth <= 0:
                    rollout.rewards[at] = 0.0

    def tell(self, rollout: Rollout, drawn: int) -> None:
        """Also the share of each way of asking; the router learns."""
        super().tell(rollout, drawn)
        for arm in range(len(self.settings.arms)):
            self.told[f"arm.{arm}"] = rollout.arms.count(arm) / len(rollout)
        self.router.learn([self.topic(row) for row in rollout.rows], rollout.arms, rollout.rewards)

    def finish(self) -> None:
        """Ends the rewards' processes."""
        super().finish()
        for board in self.kept.values():
            board.close()

    def state(self) -> dict[str, Any]:
        """Also what the router has learned."""
        return {**super().state(), "router": self.router.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        super().restore(state)
        self.router.restore(state["router"])
