"""Weighted key parts: the tokens of what an answer comes to count several times. After SFTKey, Shi et al., arXiv
2512.21017.

``L = - sum_t w_t log p(y_t | x, y_<t) / sum_t w_t`` with ``w_t = key_weight`` on the key part and 1 before it. This
form is ours: a weight of 1 is plain fine-tuning, and as it grows the loss becomes that of SFTKey's second phase.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Dimension, Float
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.key import KeyConfig, KeyLearning, KeyObjective
from tunewright.tools.training.learning import Batch, Begin, Learning


class KeyTokensConfig(KeyConfig):
    """Settings of weighted key parts."""

    key_weight: float = Field(3.0, gt=0)
    """Of a key part's token, over that of any other."""


class KeyTokensLearning(KeyLearning):
    """Teacher forcing with two weights."""

    def items(self, batch: Batch) -> float:
        """The sum of the weights of the labelled tokens."""
        wanted = batch["labels"][:, 1:] != IGNORED
        return float(self._weights(batch, wanted).sum()) or 1.0

    def weighted(self, likely: Any, batch: Batch, wanted: Any) -> Any:
        """(n,): the loss of each wanted position, of their log-likelihoods."""
        return -(self._weights(batch, wanted) * likely)

    def _weights(self, batch: Batch, wanted: Any) -> Any:
        """(n,) in fp32."""
        return 1 + (self.settings.key_weight - 1) * batch["key"][:, 1:][wanted].float()


class KeyTokens(KeyObjective):
    """Learns reasons and answers at once, and answers more."""

    kind = "key_tokens"
    summary = "learn whole answers, with more weight on what they come to than on the reasons before it"
    paper = "arXiv 2512.21017"
    names = ("key-token weighting", "weighted key tokens", "answer-token weighting")
    Config = KeyTokensConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """The weight."""
        return [
            Float(
                name=f"key_weight.{self.kind}",
                path=f"{stage}.objective.key_weight",
                low=1.0,
                high=10.0,
                log=True,
                default=3.0,
                why="1 is plain fine-tuning; reasons are several times as long as what they come to (ours)",
            )
        ]

    def narrows(self, objective: Objective) -> bool:
        """It does."""
        return True

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Teacher forcing with weights."""
        return KeyTokensLearning(model, KeyTokensConfig.model_validate(objective.settings), begin)


METHOD = KeyTokens()
