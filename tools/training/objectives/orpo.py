"""Odds ratio preference optimisation: fine-tuning and preference in one stage, without a reference. Hong et al., arXiv
2403.07691, equations 4 to 7.

::

    L = - mean_t log p(y_c,t) - beta mean log s(log odds(y_c|x) - log odds(y_r|x))
    odds(y|x) = P / (1 - P),  P = exp(mean_t log p(y_t))

``s`` is the logistic function, ``beta`` the paper's lambda. The first term is here on answers alone by default; in the
authors' code and in TRL it is on prompts too, which is ``loss_on: all``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Dimension, Float
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.preference import AnswersConfig, PairLearning, PairObjective
from tunewright.tools.training.supervised import loss_on_choice


class OrpoConfig(AnswersConfig):
    """Settings of ORPO."""

    beta: float = Field(0.1, ge=0)
    """What the comparison counts beside the fine-tuning."""
    loss_on: Literal["completion", "all"] = "completion"
    """Whether the prompts of the fine-tuning carry loss too."""


class OrpoLearning(PairLearning):
    """Pairs, of which the chosen answers are learned as in fine-tuning."""

    def collate(self, places: Sequence[int]) -> Batch:
        """As of pairs; ``per_token`` is over the tokens that the fine-tuning is on."""
        batch = super().collate(places)
        batch["per_token"].fill_(len(places) / int(self._learned(batch)[: len(places)].sum()))
        return batch

    def loss(self, batch: Batch) -> Any:
        """Summed over pairs."""
        import torch
        from torch.nn.functional import logsigmoid

        from tunewright.tools.training.scoring import spread, token_scores

        answers, learned = batch["labels"][:, 1:] != IGNORED, self._learned(batch)
        learned[self.count(batch) :] = False
        wanted = answers | learned
        each = spread(token_scores(self.model, batch, wanted), wanted)
        chosen, rejected = ((each * answers).sum(1) / answers.sum(1)).chunk(2)
        # log(1 - P) needs a P below one; a certain answer's mean may round to zero.
        log_odds = [mean - torch.log(-torch.expm1(mean.clamp(max=-1e-7))) for mean in (chosen, rejected)]
        apart = log_odds[0] - log_odds[1]
        likelihood = -((each * learned).sum(1) * batch["per_token"]).chunk(2)[0]
        self.see(log_odds_ratio=apart, chosen=chosen, rejected=rejected, pair_accuracy=apart > 0)
        return (likelihood - self.settings.beta * logsigmoid(apart)).sum()

    def _learned(self, batch: Batch) -> Any:
        """(2 rows, tokens - 1) truth values: the tokens that fine-tuning would be on."""
        column = "attention_mask" if self.settings.loss_on == "all" else "labels"
        return (batch[column][:, 1:] != (0 if column == "attention_mask" else IGNORED)).clone()


class Orpo(PairObjective):
    """Learns from pairs without a fine-tuned model to begin with."""

    kind = "orpo"
    summary = "fine-tune on better answers and compare them with worse ones at once, without a reference"
    paper = "arXiv 2403.07691"
    names = ("ORPO", "odds ratio preference optimisation", "odds ratio preference optimization")
    Config = OrpoConfig
    lr_scale = 0.3
    lr_source = "the paper: 5e-6 to 8e-6 in full, where supervised training takes 2e-5"

    def dimensions(self, stage: str) -> list[Dimension]:
        """What the comparison counts, and what carries the fine-tuning's loss."""
        beta = Float(
            name=f"beta.{self.kind}",
            path=f"{stage}.objective.beta",
            low=0.05,
            high=2.0,
            log=True,
            default=0.1,
            why="0.1 to 0.25 in the paper; 0.1 to 2 in arXiv 2405.14734, appendix B",
        )
        return [beta, loss_on_choice(stage, self.kind)]

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Pairs."""
        return OrpoLearning(model, OrpoConfig.model_validate(objective.settings), begin)


METHOD = Orpo()
