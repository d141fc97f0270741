"""Continued pre-training: the mean negative log-likelihood of all tokens of raw text, a row's first excepted.

Gururangan et al., arXiv 2004.10964, showed that it helps on text of the task's domain; Belmadani et al., arXiv
2606.19266, that before fine-tuning on labelled answers it often adds little, so its bill has to be compared. That rows
share sequences but do not see each other is ours, as are the learning rates.
"""

from __future__ import annotations

from typing import Any

from tunewright.domain.recipe import Objective
from tunewright.tools.training.learning import Begin, Learning
from tunewright.tools.training.method import ObjectiveMethod
from tunewright.tools.training.supervised import PackingConfig, TokenLearning


class CptConfig(PackingConfig):
    """Settings of continued pre-training."""

    packing: bool = True
    """Put the rows of a batch one after the other without padding. Rows do not see each other."""


class Cpt(ObjectiveMethod):
    """Learns what text of the domain looks like, before or instead of answers."""

    kind = "cpt"
    summary = "learn from raw text of the domain: likelihood of every token, prompts included"
    paper = "arXiv 2004.10964"
    names = (
        "CPT",
        "continued pre-training",
        "continued pretraining",
        "continual pre-training",
        "domain-adaptive pre-training",
        "DAPT",
    )
    Config = CptConfig
    formats = ("text", "label", "completion", "chat")
    learns_whole = True
    lr_scale = 0.3
    lr_source = "with LoRA 5e-5 to 3e-4, in full 1e-5 to 1e-4: lower than for answers, so that less is forgotten (ours)"

    def narrows(self, objective: Objective) -> bool:
        """It does."""
        return True

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Teacher forcing on whole rows."""
        return TokenLearning(model, CptConfig.model_validate(objective.settings), begin, whole=True)


METHOD = Cpt()
