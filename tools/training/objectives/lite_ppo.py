"""Two tricks and no more: advantages scaled by the deviation of all rewards, and a mean over all tokens. Liu et al.
(Tricks or Traps), arXiv 2508.08221, section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunewright.tools.training.reinforcement.method import ClippedConfig, RolloutObjective

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm


class LitePpo(RolloutObjective):
    """GRPO's groups, PPO's loss, no critic."""

    kind = "lite_ppo"
    summary = "GRPO whose advantages are scaled over all prompts of a step, every token counted alike"
    paper = "arXiv 2508.08221"
    names = ("Lite PPO", "LitePPO", "Lite-PPO")
    Config = ClippedConfig

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import clipped

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group, "batch"), clipped, "token")


METHOD = LitePpo()
