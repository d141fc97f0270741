"""Identity preference optimisation: a margin between the answers that is aimed at and not passed. Azar et al., arXiv
2310.12036, equation 17.

``L = mean (m - 1/(2 beta))^2``, ``m`` the difference of the answers' log-ratios to the reference, each a mean over its
tokens. The paper has sums; the means are TRL's, agreed with its authors, and what their numbers were made with.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Dimension
from tunewright.tools.training.learning import Begin, Learning
from tunewright.tools.training.objectives.dpo import DpoConfig, DpoLearning
from tunewright.tools.training.preference import AnswersConfig, PairObjective, beta_range


class IpoConfig(AnswersConfig):
    """Settings of IPO."""

    beta: float = Field(0.1, gt=0)
    """How strongly the policy is held to the reference: half of the inverse of the margin, in nats a token. The paper's
    tau."""


class Ipo(PairObjective):
    """Learns from pairs without driving answers apart for ever, as where all pairs agree."""

    kind = "ipo"
    summary = "learn from better and worse answers up to a given margin: where DPO overfits"
    paper = "arXiv 2310.12036"
    names = ("IPO", "identity preference optimisation", "identity preference optimization")
    Config = IpoConfig
    lr_scale = 0.1
    lr_source = "as for DPO (ours)"
    step_cost = 2.5

    def dimensions(self, stage: str) -> list[Dimension]:
        """The margin."""
        return [beta_range(stage, self.kind, high=1.0)]

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Pairs under DPO's loss ``ipo``."""
        settings = IpoConfig.model_validate(objective.settings)
        return DpoLearning(model, DpoConfig(loss="ipo", **settings.model_dump()), begin)


METHOD = Ipo()
