"""REINFORCE leave-one-out: an answer is worth what it earns over the mean of the others. Ahmadian et al., arXiv
2402.14740, section 3.2; Kool et al. (2019).

An answer is one action: its reward is less ``beta`` times how far its log-probability has moved from the reference, and
its ratio is the product of its tokens', clipped as a whole where it is not of the policy any more (TRL's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.domain.space import Dimension
from tunewright.tools.training.reinforcement.method import (
    ClippedConfig,
    RolloutObjective,
    beta_choice,
    iterations_choice,
)

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm


class RlooConfig(ClippedConfig):
    """Settings of RLOO."""

    beta: float = Field(0.05, ge=0)
    """How much a reward loses for each nat that the answer has become likelier than when the stage began."""


class Rloo(RolloutObjective):
    """The plainest of all."""

    kind = "rloo"
    summary = "reinforce answers by what they earn over the mean of the others, held to where the stage began"
    paper = "arXiv 2402.14740"
    names = ("RLOO", "REINFORCE leave-one-out", "leave-one-out REINFORCE")
    Config = RlooConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """How strongly it is held, and how often an answer is trained on."""
        return [beta_choice(stage, self, (0.05, 0.0, 0.01, 0.1)), iterations_choice(stage, self)]

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import leave_one_out
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import product

        return Algorithm(lambda rewards, own: leave_one_out(rewards, own.group), product, "answer", held_by_reward=True)


METHOD = Rloo()
