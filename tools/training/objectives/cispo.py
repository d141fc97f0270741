"""Clipped importance sampling policy optimisation: a ratio that is too high is cut, and its token goes on learning.
MiniMax-M1, arXiv 2506.13585, section 3.1, equations 4 and 5.

``L = -mean_t sg(min(r, e+)) A log pi``, over all tokens of a step. There is no lower bound, as in the paper; ``e+`` is
5 in TRL.
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


class CispoConfig(GroupConfig):
    """Settings of CISPO."""

    epsilon_high: float = Field(5.0, gt=1)
    """The most that a token's ratio counts."""
    iterations: int = Field(2, ge=1, le=16)


class Cispo(RolloutObjective):
    """No token is lost to the clip."""

    kind = "cispo"
    summary = "GRPO in which rare tokens that matter are not clipped away: their weight is, and they go on learning"
    paper = "arXiv 2506.13585"
    names = ("CISPO", "clipped importance sampling policy optimisation")
    Config = CispoConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """Also the bound."""
        why = "5 in TRL; the paper only says that it was tuned (range ours)"
        return [iterations_choice(stage, self), epsilon_range(stage, self, "epsilon_high", 2.0, 8.0, why)]

    def algorithm(self) -> Algorithm:
        """Rollouts in groups."""
        from tunewright.tools.training.reinforcement.advantage import group_relative
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import weighted

        return Algorithm(lambda rewards, own: group_relative(rewards, own.group), weighted, "token")


METHOD = Cispo()
