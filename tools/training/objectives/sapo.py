"""Soft adaptive policy optimisation: in the place of a clip a gate that closes gradually. Gao et al., arXiv 2511.20347.

``L = -mean (4 / tau) s(tau (r - 1)) A``, ``s`` the logistic function; ``tau`` is a little higher for answers that earn
less than their group, so that their gate closes sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.domain.space import Dimension
from tunewright.tools.training.reinforcement.method import (
    GroupConfig,
    RolloutObjective,
    epsilon_range,
    iterations_choice,
)

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm


class SapoConfig(GroupConfig):
    """Settings of SAPO."""

    tau: float = Field(1.0, gt=0)
    """How fast the gate closes for answers that earn more than their group."""
    tau_negative: float = Field(1.05, gt=0)
    """How fast for those that earn less."""
    iterations: int = Field(2, ge=1, le=16)


class Sapo(RolloutObjective):
    """GRPO without a hard clip."""

    kind = "sapo"
    summary = "GRPO whose tokens fade out as they move too far, and are not cut off"
    paper = "arXiv 2511.20347"
    names = ("SAPO", "soft adaptive policy optimisation", "soft adaptive policy optimization")
    Config = SapoConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Also how fast the gate closes."""
        why = "1 and 1.05 in the paper (range ours)"
        return [iterations_choice(stage, self), epsilon_range(stage, self, "tau_negative", 1.0, 2.0, why)]

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import soft

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group), soft, "answer")


METHOD = Sapo()
