"""Group relative policy optimisation: several answers to a prompt, each worth what it earns over their mean.
Shao et al. (DeepSeekMath), arXiv 2402.03300, section 4.1.

``L = -mean_i (1/|o_i|) sum_t (min(r A, clip(r, 1 - e, 1 + e) A) - beta KL_t)``, ``A`` the reward less its group's mean
over its group's standard deviation. ``beta`` is 0.04 in the paper and 0 by default here, as in TRL: with a verifiable
reward the reference is mostly in the way (arXiv 2503.14476, section 2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training.reinforcement.method import ClippedConfig, RolloutObjective, Scales, epsilon_range

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm


class GrpoConfig(ClippedConfig):
    """Settings of GRPO."""

    scale: Scales = "group"
    """What an advantage is divided by: the standard deviation of its group's rewards, of all rewards, nothing."""


class Grpo(RolloutObjective):
    """The usual choice for rewards that a program can check."""

    kind = "grpo"
    summary = "reinforce the answers to a prompt that earn more than its others"
    paper = "arXiv 2402.03300"
    names = ("GRPO", "group relative policy optimisation", "group relative policy optimization")
    Config = GrpoConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Also the clip and the scale."""
        return [
            *super().dimensions(stage),
            epsilon_range(stage, self, "epsilon", 0.1, 0.3, "0.2 in PPO and TRL (range ours)"),
            Choice(
                name=f"scale.{self.kind}",
                path=f"{stage}.objective.scale",
                options=("group", "batch", "none"),
                default="group",
                why="the paper's, Lite PPO's (arXiv 2508.08221) and Dr. GRPO's (arXiv 2503.20783)",
            ),
        ]

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import clipped

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group, own.scale), clipped, "answer")


METHOD = Grpo()
