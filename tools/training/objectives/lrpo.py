"""Language-routed policy optimisation: GRPO whose groups are asked in several ways, where a bandit learns for each
topic which way earns most. Guo, Wakaki, Mitsufuji, Ritter and Xu, arXiv 2605.25360.

In the paper a way is the language that is to be answered in. Here it is any text put before the input, so that it may
be a persona or a way to think as well; the first way is the prompt as it is, and is what evaluation asks. Defaults of
the router, two own answers in a group, and that an answer which does not keep to its way earns exactly nothing are from
the authors' program. ``bias`` takes the place of their calibration between languages: what a way is known to earn more
than it should. Ours: the clip, the ways that are there by default, and topics by any column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen
from tunewright.domain.recipe import Objective, Reward
from tunewright.domain.space import Choice, Dimension, Float
from tunewright.domain.task import TaskSpec
from tunewright.tools.training.reinforcement.method import ClippedConfig, RolloutObjective, beta_choice

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm
    from tunewright.tools.training.reinforcement.learning import PolicyLearning


class Arm(Frozen):
    """A way to ask."""

    says: str = ""
    """Put before the input, on a line of its own; empty: the prompt as it is."""
    must: Reward | None = None
    """What an answer has to earn more than nothing under, or else it earns nothing at all: whether it keeps to the
    way."""
    bias: float = 0.0
    """What answers to it are known to earn more than equally good ones to the first way."""


class LrpoConfig(ClippedConfig):
    """Settings of LRPO."""

    arms: tuple[Arm, ...] = Field(
        (Arm(), Arm(says="Think step by step."), Arm(says="Answer in as few words as you can.")), min_length=1
    )
    """Ways to ask, the first of them the prompt as it is."""
    own: int = Field(2, ge=0)
    """Answers of a group that are to the first way, at least."""
    topic: str = "source"
    """Column by which the router tells rows apart; ``source`` is the data source."""
    tau: float = Field(1.0, gt=0)
    """Temperature at which ways are drawn, at first."""
    least_tau: float = Field(0.3, gt=0)
    """The lowest that it falls to."""
    tau_decay: float = Field(0.999, gt=0, le=1)
    """By which it falls, each rollout."""
    explore: float = Field(0.2, ge=0, le=1)
    """Share of the draws in which all ways are alike, at first."""
    explore_decay: float = Field(0.995, gt=0, le=1)
    """By which it falls, each rollout."""
    alpha: float = Field(0.1, gt=0, le=1)
    """How fast the router learns."""
    every: int = Field(5, ge=1)
    """Rollouts between two of its updates."""


class Lrpo(RolloutObjective):
    """GRPO that finds out how to ask."""

    kind = "lrpo"
    summary = "GRPO whose answers are drawn under several instructions, chosen by what they earn on each topic"
    paper = "arXiv 2605.25360"
    names = ("LRPO", "language-routed policy optimisation", "language-routed policy optimization")
    Config = LrpoConfig

    def check(self, objective: Objective, task: TaskSpec | None = None) -> None:
        """Also the ways to ask."""
        from tunewright.tools.training.scoreboard import check_rewards

        super().check(objective, task)
        settings = LrpoConfig.model_validate(objective.settings)
        if settings.arms[0].says:
            raise UsageError(
                "the first of LRPO's arms has to be the prompt as it is, which is what evaluation asks",
                "leave 'says' of the first arm empty",
            )
        if settings.own > settings.group:
            raise UsageError(
                f"own is {settings.own}, and a group has {settings.group} answers", "set own to the group at most"
            )
        for arm in settings.arms:
            if arm.must is not None:
                check_rewards([arm.must], task)

    def dimensions(self, stage: str) -> list[Dimension]:
        """How fast the router learns, and how much it tries."""
        path = f"{stage}.objective"
        return [
            beta_choice(stage, self, (0.0, 1e-3, 1e-2)),
            Float(
                name=f"explore.{self.kind}", path=f"{path}.explore", low=0.05, high=0.5, default=0.2,
                why="0.2 in the authors' program (range ours)",
            ),
            Choice(
                name=f"every.{self.kind}", path=f"{path}.every", options=(5, 2, 1), default=5,
                why="5 in the authors' program; fewer for runs of some dozens of steps (ours)",
            ),
        ]  # fmt: skip

    def algorithm(self) -> Algorithm:
        """Rollouts in groups of several ways."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import clipped

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group), clipped, "answer")

    def learner(self) -> type[PolicyLearning]:
        """With a router."""
        from tunewright.tools.training.reinforcement.routed import RoutedLearning

        return RoutedLearning


METHOD = Lrpo()
