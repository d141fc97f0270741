"""Dynamic fine-tuning: each token's cross-entropy times the probability that the model gives it. Wu et al., arXiv
2508.05629, equation 9.

``L = - mean_t sg(p(y_t | x, y_<t)) log p(y_t | x, y_<t)``, no gradient through the weight. The gradient of plain
fine-tuning is that of a reward which grows without bound as the token's probability falls; the weight evens it out, so
that unlikely tokens pull no harder than others. Which tokens carry loss is a setting of ours; the paper's are the
answer's.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Objective
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.method import ObjectiveMethod
from tunewright.tools.training.supervised import TokenConfig, TokenLearning


class DftLearning(TokenLearning):
    """Weighs each token by its probability."""

    def weighted(self, likely: Any, batch: Batch, wanted: Any) -> Any:
        """(n,): the loss of each wanted position, of their log-likelihoods."""
        return -(likely.detach().exp() * likely)


class Dft(ObjectiveMethod):
    """Learns from given answers without being driven by the least likely of their tokens."""

    kind = "dft"
    summary = "learn from given answers, each token weighted by its probability: less overfitting to odd tokens"
    paper = "arXiv 2508.05629"
    names = ("DFT", "dynamic fine-tuning", "dynamic finetuning")
    Config = TokenConfig

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Teacher forcing with weights."""
        settings = TokenConfig.model_validate(objective.settings)
        return DftLearning(model, settings, begin, whole=settings.loss_on == "all")


METHOD = Dft()
