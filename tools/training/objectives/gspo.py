"""Group sequence policy optimisation: one ratio for an answer, the geometric mean of its tokens'. Zheng et al., arXiv
2507.18071, equations 5 to 7.

An answer is clipped as a whole, at bounds that are small as the ratio of a mean is (3e-4 and 4e-4 in the paper, section
5.1). Where an answer is trained on once, by the policy that gave it, the ratio is 1 and it is GRPO; so each rollout
makes four steps, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.domain.space import Dimension
from tunewright.tools.training.reinforcement.method import (
    ClippedConfig,
    RolloutObjective,
    epsilon_range,
    iterations_choice,
)

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm


class GspoConfig(ClippedConfig):
    """Settings of GSPO."""

    epsilon: float = Field(3e-4, gt=0, lt=1)
    epsilon_high: float | None = Field(4e-4, gt=0)
    steps_per_generation: int = Field(4, ge=1, le=64)


class Gspo(RolloutObjective):
    """GRPO with ratios of answers."""

    kind = "gspo"
    summary = "GRPO that weighs and clips answers as wholes: steadier where answers are used more than once"
    paper = "arXiv 2507.18071"
    names = ("GSPO", "group sequence policy optimisation", "group sequence policy optimization")
    Config = GspoConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Both bounds, at their own scale."""
        why = "{} in the paper (range ours)"
        return [
            iterations_choice(stage, self),
            epsilon_range(stage, self, "epsilon", 1e-4, 1e-2, why.format("3e-4")),
            epsilon_range(stage, self, "epsilon_high", 1e-4, 1e-2, why.format("4e-4")),
        ]

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import geometric

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group), geometric, "answer")


METHOD = Gspo()
