"""GRPO done right: without the two divisions that favour long wrong answers and easy prompts. Liu et al., arXiv
2503.20783, section 3.2.

``A`` is the reward less its group's mean, and the loss an answer's sum of tokens over the greatest length that there
can be, in the place of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunewright.domain.space import Dimension
from tunewright.tools.training.reinforcement.method import ClippedConfig, RolloutObjective, epsilon_range

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm


class DrGrpo(RolloutObjective):
    """GRPO without its biases."""

    kind = "dr_grpo"
    summary = "GRPO without the scaling that favours long wrong answers and prompts that are easy or hopeless"
    paper = "arXiv 2503.20783"
    names = ("Dr. GRPO", "Dr GRPO", "Dr.GRPO", "GRPO done right")
    Config = ClippedConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Also the clip."""
        why = "0.2 in PPO and TRL (range ours)"
        return [*super().dimensions(stage), epsilon_range(stage, self, "epsilon", 0.1, 0.3, why)]

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import clipped

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group, "none"), clipped, "length")


METHOD = DrGrpo()
