"""Proximal policy optimisation with a critic. Schulman et al., arXiv 1707.06347; for language models Ouyang et al.,
arXiv 2203.02155, section 3.5.

::

    r_t = -beta (log pi_old - log pi_ref) + [t last] reward        d_t = r_t + gamma V_(t+1) - V_t
    A_t = d_t + gamma lam A_(t+1), whitened                        R_t = A_t + V_t
    L   = mean_t max(-r A, -clip(r, 1 - e, 1 + e) A) + c_v max((V - R)^2, (clip(V, V_old +- e_v) - R)^2) / 2 - c_e H

The defaults are those of TRL's last PPO (1.12): ``beta`` 0.05, ``e`` and ``e_v`` 0.2, ``c_v`` 0.1, gamma 1, lam 0.95,
four iterations. Ours: policy and critic share the model (``reinforcement/actor_critic.py``), and several answers to a
prompt, so that a step of few prompts holds enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tunewright.domain.space import Choice, Dimension, Float
from tunewright.tools.training.reinforcement.method import (
    RolloutConfig,
    RolloutObjective,
    beta_choice,
    epsilon_range,
    iterations_choice,
)

if TYPE_CHECKING:
    from tunewright.tools.training.reinforcement.algorithm import Algorithm
    from tunewright.tools.training.reinforcement.learning import PolicyLearning


class PpoConfig(RolloutConfig):
    """Settings of PPO."""

    group: int = Field(4, ge=1, le=256)
    """Answers to each prompt."""
    iterations: int = Field(4, ge=1, le=16)
    """How often each answer is trained on."""
    beta: float = Field(0.05, ge=0)
    """How much a token is punished for each nat that it has become likelier than when the stage began."""
    epsilon: float = Field(0.2, gt=0, lt=1)
    """How far from 1 a ratio of probabilities may go before its token stops learning."""
    gamma: float = Field(1.0, gt=0, le=1)
    """What a reward is worth one token earlier."""
    lam: float = Field(0.95, ge=0, le=1)
    """How far an advantage looks ahead: 0 to the next token, 1 to the end."""
    value_weight: float = Field(0.1, gt=0)
    """Of the critic's loss."""
    epsilon_value: float = Field(0.2, gt=0)
    """How far the critic may move on one answer."""
    entropy_weight: float = Field(0.0, ge=0)
    """Of the entropy, which is added to what is to be gained."""

    @property
    def upper(self) -> float:
        """How far above 1 a ratio may go."""
        return self.epsilon


class Ppo(RolloutObjective):
    """The classic, with a critic."""

    kind = "ppo"
    summary = "reinforce tokens by what a critic did not expect, held to where the stage began"
    paper = "arXiv 1707.06347"
    names = ("PPO", "proximal policy optimisation", "proximal policy optimization")
    Config = PpoConfig
    step_cost = 10.0
    """With four answers to a prompt, each used four times."""

    def dimensions(self, stage: str) -> list[Dimension]:
        """How strongly it is held, the clip, the critic."""
        path = f"{stage}.objective"
        return [
            beta_choice(stage, self, (0.05, 0.0, 0.01, 0.1)),
            iterations_choice(stage, self),
            epsilon_range(stage, self, "epsilon", 0.1, 0.3, "0.2 in the paper (range ours)"),
            Float(
                name=f"lam.{self.kind}", path=f"{path}.lam", low=0.9, high=1.0, default=0.95,
                why="0.95 in TRL; 1 for a reward at the very end of long answers (range ours)",
            ),
            Choice(
                name=f"entropy_weight.{self.kind}", path=f"{path}.entropy_weight", options=(0.0, 0.001, 0.01),
                default=0.0, why="a bonus can lower accuracy (arXiv 2512.07611), and can keep a policy from collapsing",
            ),
        ]  # fmt: skip

    def algorithm(self) -> Algorithm:
        """Policy and critic."""
        from tunewright.tools.training.reinforcement.algorithm import Algorithm
        from tunewright.tools.training.reinforcement.policy_loss import clipped

        return Algorithm(lambda rewards, own: rewards, clipped, "token", held_by_reward=True)

    def learner(self) -> type[PolicyLearning]:
        """With a critic."""
        from tunewright.tools.training.reinforcement.actor_critic import ActorCritic

        return ActorCritic


METHOD = Ppo()
