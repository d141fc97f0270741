"""Reward model training: a scalar head on the last hidden state learns which of two answers is better. Bradley and
Terry (1952), as in Stiennon et al., arXiv 2009.01325, section 3.4, and Ouyang et al., arXiv 2203.02155, equation 1.

``L = - mean log s(r_c - r_r) + c mean (r_c + r_r)^2``: ``r`` is what the head makes of the state at an answer's last
token, ``s`` the logistic function. The second term keeps rewards around zero: Eisenstein et al., arXiv 2312.09244,
section 2. Head and adapter are trained together; the head is saved beside the adapter and is what the reward
``reward_model`` and the metric ``preference_accuracy`` ask (``tools/models/reward_head.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.method import Family
from tunewright.tools.training.preference import AnswersConfig, PairLearning, PairObjective


class RewardConfig(AnswersConfig):
    """Settings of a reward model."""

    centre: float = Field(0.0, ge=0)
    """Of the square of a pair's rewards together: TRL's ``center_rewards_coefficient``."""


class RewardLearning(PairLearning):
    """Pairs under a head."""

    def __init__(self, model: Any, settings: Any, begin: Begin) -> None:
        from tunewright.tools.models.reward_head import carry_head, new_head

        super().__init__(model, settings, begin)
        self.head = new_head(model, begin.seed)
        carry_head(model, self.head)

    def modules(self) -> Mapping[str, Any]:
        """The head."""
        return {"reward": self.head}

    def loss(self, batch: Batch) -> Any:
        """Summed over pairs."""
        from torch.nn.functional import logsigmoid

        from tunewright.tools.models.reward_head import batch_rewards

        chosen, rejected = batch_rewards(self.model, self.head, batch).chunk(2)
        self.see(
            reward_chosen=chosen, reward_rejected=rejected, margin=chosen - rejected, pair_accuracy=chosen > rejected
        )
        return (self.settings.centre * (chosen + rejected).square() - logsigmoid(chosen - rejected)).sum()

    def save(self, folder: Path) -> None:
        """The head."""
        from tunewright.tools.models.reward_head import save_head

        save_head(self.head, folder, self.begin.below)


class Reward(PairObjective):
    """Learns what reinforcement learning is to reward."""

    kind = "reward"
    summary = "train a reward model: which of two answers is better, as a number for each"
    paper = "arXiv 2009.01325"
    names = ("reward model", "reward modelling", "reward modeling", "Bradley-Terry reward model")
    plain_word = True
    family: ClassVar[Family] = "reward"
    Config = RewardConfig
    lr_scale = 0.2
    lr_source = "1e-4 is TRL's default (1.16), which for LoRA is a fifth of supervised training's"

    def dimensions(self, stage: str) -> list[Dimension]:
        """How strongly rewards are kept around zero."""
        return [
            Choice(
                name=f"centre.{self.kind}",
                path=f"{stage}.objective.centre",
                options=(0.0, 0.01, 0.1),
                default=0.0,
                why="0.01 in arXiv 2312.09244, section 2; it changes no comparison, only what a sum of rewards means",
            )
        ]

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Pairs."""
        return RewardLearning(model, RewardConfig.model_validate(objective.settings), begin)


METHOD = Reward()
