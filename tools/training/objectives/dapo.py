"""Decoupled clip and dynamic sampling policy optimisation. Yu et al., arXiv 2503.14476.

GRPO with a higher bound upwards (clip-higher, equation 10), a mean over all tokens of the step in the place of one over
answers (equation 12), a penalty that grows towards the greatest length (equation 13), no loss on answers that were cut
off, and no reference. Dynamic sampling (equation 11) is ``dynamic``; it is off by default, since Lian, arXiv
2512.07611, finds DAPO best without it. In the paper the penalty's cache is 4,096 of 20,480 tokens: a fifth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training.reinforcement.method import (
    ClippedConfig,
    RolloutObjective,
    epsilon_range,
    iterations_choice,
)

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm


class DapoConfig(ClippedConfig):
    """Settings of DAPO."""

    epsilon_high: float | None = Field(0.28, gt=0)
    overlong: float = Field(0.2, ge=0, le=1)
    mask_truncated: bool = True


class Dapo(RolloutObjective):
    """GRPO for long answers."""

    kind = "dapo"
    summary = "GRPO with a wider clip upwards, every token counted alike, and no reward for running on"
    paper = "arXiv 2503.14476"
    names = ("DAPO", "decoupled clip and dynamic sampling policy optimisation")
    Config = DapoConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """The upper bound, the penalty, and whether prompts without a difference are replaced."""
        return [
            iterations_choice(stage, self),
            epsilon_range(stage, self, "epsilon_high", 0.2, 0.4, "0.28 in the paper (range ours)"),
            Choice(
                name=f"overlong.{self.kind}",
                path=f"{stage}.objective.overlong",
                options=(0.0, 0.2, 0.5),
                default=0.2,
                why="a fifth in the paper; 0 where an answer's length says nothing",
            ),
            Choice(
                name=f"dynamic.{self.kind}",
                path=f"{stage}.objective.dynamic",
                options=(0, 3),
                default=0,
                why="off is best in arXiv 2512.07611; on in the paper, at the price of more answers",
            ),
        ]  # fmt: skip

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import clipped

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group), clipped, "token")


METHOD = Dapo()
