"""Supervised fine-tuning: the mean negative log-likelihood of the answer's tokens. Ouyang et al., arXiv 2203.02155.

``L = - mean_t log p(y_t | x, y_<t)`` over the labelled tokens of the batch; the prompt's carry no loss unless
``loss_on`` is ``all``.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Dimension
from tunewright.tools.training.learning import Begin, Learning
from tunewright.tools.training.method import ObjectiveMethod
from tunewright.tools.training.supervised import SmoothedConfig, TokenLearning, loss_on_choice, smoothing_choice


class Sft(ObjectiveMethod):
    """Learns from given answers. The objective to start with."""

    kind = "sft"
    summary = "learn from given answers: likelihood of the completion, prompts without loss"
    paper = "arXiv 2203.02155"
    names = ("SFT", "supervised fine-tuning", "instruction tuning")
    Config = SmoothedConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """What carries loss, and label smoothing. Packing changes no number, so there is nothing to search."""
        return [loss_on_choice(stage, self.kind), smoothing_choice(stage, self.kind)]

    def narrows(self, objective: Objective) -> bool:
        """Without label smoothing, which reads all tokens' likelihoods."""
        return not objective.settings.get("label_smoothing")

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Teacher forcing."""
        settings = SmoothedConfig.model_validate(objective.settings)
        whole, smoothing = settings.loss_on == "all", settings.label_smoothing
        return TokenLearning(model, settings, begin, whole=whole, smoothing=smoothing)


METHOD = Sft()
