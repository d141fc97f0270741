"""Simple preference optimisation: likelihood a token as the reward, a margin to reach, no reference. Meng et al., arXiv
2405.14734, equation 6.

``L = - mean log s(beta (q(y_c) - q(y_r)) - gamma)``, ``q(y)`` the mean log-probability of an answer's tokens and ``s``
the logistic function. With ``alpha`` the reward is bent: ``(1 - exp(-alpha q)) / alpha``, AlphaPO, Gupta et al., arXiv
2501.03884. ``sft_weight`` adds the chosen answers' mean negative log-likelihood, as CPO does: Xu et al., arXiv
2401.08417.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Choice, Dimension, Float
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.preference import AnswersConfig, PairLearning, PairObjective


class SimpoConfig(AnswersConfig):
    """Settings of SimPO."""

    beta: float = Field(2.0, gt=0)
    """What a difference of one nat a token counts."""
    gamma: float = Field(1.0, ge=0)
    """The margin, in the units of the reward."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of the pairs that is thought to be the wrong way round."""
    alpha: float = 0.0
    """How the reward is bent; zero leaves it straight."""
    sft_weight: float = Field(0.0, ge=0)
    """Of the chosen answers' mean negative log-likelihood, beside the loss."""


class SimpoLearning(PairLearning):
    """Pairs by their likelihood a token."""

    def loss(self, batch: Batch) -> Any:
        """Summed over pairs."""
        import torch
        from torch.nn.functional import logsigmoid

        settings, tokens = self.settings, (batch["labels"][:, 1:] != IGNORED).sum(1)
        whole = self.log_probs(batch)
        means = whole / tokens
        rewards = settings.beta * (-torch.expm1(-settings.alpha * means) / settings.alpha if settings.alpha else means)
        chosen, rejected = rewards.chunk(2)
        apart, wrong = chosen - rejected - settings.gamma, settings.label_smoothing
        each = -(1 - wrong) * logsigmoid(apart) - wrong * logsigmoid(-apart)
        if settings.sft_weight:
            each = each - settings.sft_weight * (whole * batch["per_token"]).chunk(2)[0]
        self.see(
            reward_chosen=chosen, reward_rejected=rejected, margin=chosen - rejected, pair_accuracy=chosen > rejected
        )
        return each.sum()


class Simpo(PairObjective):
    """Learns from pairs at the price of two answers a row and nothing else."""

    kind = "simpo"
    summary = "learn from better and worse answers by their likelihood a token, without a reference"
    paper = "arXiv 2405.14734"
    names = ("SimPO", "simple preference optimisation", "simple preference optimization", "AlphaPO")
    Config = SimpoConfig
    lr_scale = 0.05
    lr_source = "the paper: 3e-7 to 1e-6 in full, where supervised training takes 2e-5"

    def dimensions(self, stage: str) -> list[Dimension]:
        """Strength, margin and likelihood."""
        return [
            Float(
                name=f"beta.{self.kind}",
                path=f"{stage}.objective.beta",
                low=0.5,
                high=10.0,
                log=True,
                default=2.0,
                why="2 to 2.5 in the paper's appendix B, up to 10 in its authors' later notes; less for labels (ours)",
            ),
            Float(
                name=f"gamma.{self.kind}",
                path=f"{stage}.objective.gamma",
                low=0.0,
                high=2.0,
                default=1.0,
                why="0.3 to 1.6 in the paper's appendix B",
            ),
            Choice(
                name=f"sft_weight.{self.kind}",
                path=f"{stage}.objective.sft_weight",
                options=(0.0, 0.2, 1.0),
                default=0.0,
                why="1 in CPO (arXiv 2401.08417); 0 in the paper",
            ),
        ]

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Pairs."""
        return SimpoLearning(model, SimpoConfig.model_validate(objective.settings), begin)


METHOD = Simpo()
