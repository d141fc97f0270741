"""Direct preference optimisation: better answers likelier, worse ones less likely, as against how the stage began.
Rafailov et al., arXiv 2305.18290, equation 7; and the losses that others put in the place of its logistic one.

``L = - mean log s(beta ((log pi - log pi_ref)(y_c|x) - (log pi - log pi_ref)(y_r|x)))``, over pairs, ``s`` the
logistic function. All losses with their papers are in ``tools/training/pair_losses.py``. The term ``sft_weight`` is
Pang et al.'s, arXiv 2404.19733, with the mean over the batch's tokens and not over each answer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Objective
from tunewright.domain.space import Choice, Condition, Dimension
from tunewright.domain.task import TaskSpec
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.learning import Batch, Begin, Learning
from tunewright.tools.training.preference import (
    AnswersConfig,
    PairObjective,
    ReferredLearning,
    beta_range,
)

if TYPE_CHECKING:
    from tunewright.tools.training.pair_losses import Compared

Loss = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
]  # fmt: skip
SMOOTHED = ("sigmoid", "exo_pair", "robust", "aot", "aot_unpaired")
"""Losses that read ``label_smoothing``."""
SORTED = ("aot", "aot_unpaired")
"""Losses in which answers of different pairs meet."""
_SEARCHED = (
    "sigmoid", "sigmoid_norm", "hinge", "robust", "exo_pair", "nca_pair", "bco_pair", "sppo_hard", "aot", "apo_zero",
    "discopop",
)  # fmt: skip


class DpoConfig(AnswersConfig):
    """Settings of DPO."""

    loss: Loss = "sigmoid"
    """What is minimised of a pair: ``tools/training/pair_losses.py``."""
    beta: float = Field(0.1, gt=0)
    """How strongly the policy is held to the reference; for ``ipo`` and ``sppo_hard`` half of the inverse of the
    margin that is aimed at."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of the pairs that is thought to be the wrong way round."""
    tau: float = Field(0.05, gt=0)
    """Temperature of ``discopop``."""
    sft_weight: float = Field(0.0, ge=0)
    """Of the chosen answers' mean negative log-likelihood, beside the loss."""


class DpoLearning(ReferredLearning):
    """Pairs under one of the losses."""

    def cut(self, batch: Batch, size: int | None) -> Iterator[Batch]:
        """Whole pairs; where the loss sorts the batch, a pass without gradients finds who meets whom first."""
        if size is not None and size < len(batch["input_ids"]) and self.settings.loss in SORTED:
            batch = self._arranged(batch, size)
        return super().cut(batch, size)

    def loss(self, batch: Batch) -> Any:
        """Summed over pairs."""
        from tunewright.tools.training.pair_losses import LOSSES, sft

        pairs, settings = self.compared(batch), self.settings
        each = LOSSES[settings.loss](pairs, settings)
        if settings.sft_weight:
            each = each + settings.sft_weight * sft(pairs, settings)
        up, down = settings.beta * pairs.up, settings.beta * pairs.down
        self.see(reward_chosen=up, reward_rejected=down, margin=up - down, pair_accuracy=up > down)
        return each.sum()

    def compared(self, batch: Batch) -> Compared:
        """What policy and reference say of the batch."""
        from tunewright.tools.training.pair_losses import Compared

        tokens = (batch["labels"][:, 1:] != IGNORED).sum(1)
        columns = (self.log_probs(batch), batch["reference"], tokens, batch["per_token"])
        halves = [half for column in columns for half in column.chunk(2)]
        return Compared(*halves[:7])

    def _arranged(self, batch: Batch, size: int) -> Batch:
        """The batch in the order in which its parts have the partners that they have in the whole."""
        import torch

        from tunewright.tools.training.pair_losses import Compared, ranked

        count = self.count(batch)
        with torch.no_grad():
            parts = [self.compared(part) for part in super().cut(batch, size)]
        names = Compared.__dataclass_fields__
        whole = Compared(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
        first, second = ranked(self.settings.loss, whole)
        if self.settings.loss == "aot":
            laid = _halves(batch, first, first, count)
            return {**laid, "reference": _halves({"reference": batch["reference"]}, second, second, count)["reference"]}
        return _halves(batch, first, second, count)


def _halves(batch: Batch, chosen: list[int], rejected: list[int], count: int) -> Batch:
    return {name: column[[*chosen, *(count + place for place in rejected)]] for name, column in batch.items()}


class Dpo(PairObjective):
    """Learns from pairs without a reward model."""

    kind = "dpo"
    summary = "learn from better and worse answers, held to the model that the stage began with"
    paper = "arXiv 2305.18290"
    names = ("DPO", "direct preference optimisation", "direct preference optimization")
    Config = DpoConfig
    lr_scale = 0.1
    lr_source = "TRL 1.16: 1e-6 over supervised training's 2e-5, for long runs; twice as much for short ones (ours)"
    step_cost = 2.5

    def dimensions(self, stage: str) -> list[Dimension]:
        """The loss, its strength, and what some losses have beside it."""
        loss = f"loss.{self.kind}"
        return [
            Choice(
                name=loss,
                path=f"{stage}.objective.loss",
                options=_SEARCHED,
                default="sigmoid",
                why="the paper's own; the others are claimed to be better on some data each (pair_losses.py)",
            ),
            beta_range(stage, self.kind),
            Choice(
                name=f"label_smoothing.{self.kind}",
                path=f"{stage}.objective.label_smoothing",
                options=(0.0, 0.1, 0.2),
                default=0.0,
                when=(Condition(name=loss, values=tuple(one for one in SMOOTHED if one in _SEARCHED)),),
                why="0.1 is where noisy pairs are suspected (arXiv 2403.00409)",
            ),
            Choice(
                name=f"sft_weight.{self.kind}",
                path=f"{stage}.objective.sft_weight",
                options=(0.0, 0.2, 1.0),
                default=0.0,
                why="1 in arXiv 2404.19733, whose chosen answers became less likely without it",
            ),
        ]

    def check(self, objective: Objective, task: TaskSpec | None = None) -> None:
        """Settings that the loss does not read have to be left alone."""
        settings = DpoConfig.model_validate(objective.settings)
        every = tuple(one for one in Loss.__args__ if one != "sft")  # type: ignore[attr-defined]  # typing's own way
        readers = {"beta": every, "label_smoothing": SMOOTHED, "tau": ("discopop",), "sft_weight": every}
        for name, losses in readers.items():
            usual = DpoConfig.model_fields[name].default
            if settings.loss not in losses and getattr(settings, name) != usual:
                raise UsageError(
                    f"'{self.kind}' with the loss '{settings.loss}' does not read {name}",
                    f"leave it out, or take the loss {' or '.join(losses[:5])}",
                )

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Pairs."""
        return DpoLearning(model, DpoConfig.model_validate(objective.settings), begin)


METHOD = Dpo()
