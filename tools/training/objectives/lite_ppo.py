"""Two tricks and no more: advantages scaled by the deviation of all rewards, and a mean over all tokens. Liu et al.
(Tricks or Traps), arXiv 2508.08221, section 5.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Objective
from tunewright.tools.training.learning import Begin, Learning
from tunewright.tools.training.reinforcement.method import ClippedConfig, RolloutObjective


class LitePpo(RolloutObjective):
    """GRPO's groups, PPO's loss, no critic."""

    kind = "lite_ppo"
    summary = "GRPO whose advantages are scaled over all prompts of a step, every token counted alike"
    paper = "arXiv 2508.08221"
    names = ("Lite PPO", "LitePPO", "Lite-PPO")
    Config = ClippedConfig

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.learning import Algorithm, PolicyLearning
        from tunewright.tools.training.reinforcement.policy_loss import clipped

        algorithm = Algorithm(lambda rewards, own: group_relative(rewards, own.group, "batch"), clipped, "token")
        return PolicyLearning(model, ClippedConfig.model_validate(objective.settings), begin, algorithm)


METHOD = LitePpo()
