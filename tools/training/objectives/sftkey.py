"""SFTKey: first all tokens of the answers, then their key parts alone. Shi et al., arXiv 2512.21017.

::

    phase 1   L = - mean_t       log p(y_t | x, y_<t)     all tokens of the answer
    phase 2   L = - mean_{t in K} log p(y_t | x, y_<t)    K: the key part; what is before it is context without loss

The paper adds the second phase to a finished training, so that its gain may come from more steps. Here both share the
stage's steps, and a study compares it with plain fine-tuning at equal length. The paper's key part begins after the
reasons, with the opening tag; ours after that tag, which the first phase teaches.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.recipe import Objective
from tunewright.domain.space import Dimension, Float
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.key import KeyConfig, KeyLearning, KeyObjective
from tunewright.tools.training.learning import Batch, Begin, Learning


class SftKeyConfig(KeyConfig):
    """Settings of SFTKey."""

    stage2_ratio: float = Field(0.25, ge=0, le=1)
    """Share of the steps, the last ones, that train key parts alone."""
    stage2_lr_scale: float = Field(1.0, gt=0, le=10)
    """Their learning rate over the schedule's."""


class SftKeyLearning(KeyLearning):
    """Teacher forcing whose last steps leave out what is before the key parts."""

    @property
    def second(self) -> int:
        """The first step of the second phase."""
        return self.begin.steps - round(float(self.settings.stage2_ratio) * self.begin.steps)

    def prepare(self, batch: Batch, step: int) -> Batch:
        """The labels of the step's phase."""
        if step >= self.second:
            batch = {**batch, "labels": batch["labels"].masked_fill(~batch["key"], IGNORED)}
        return super().prepare(batch, step)

    def rate(self, step: int) -> float:
        """The learning rate of a step over the schedule's."""
        return 1.0 if step < self.second else float(self.settings.stage2_lr_scale)


class SftKey(KeyObjective):
    """Learns reasons and answers, and then answers alone."""

    kind = "sftkey"
    summary = "learn whole answers, then only what they come to: for answers that give their reasons first"
    paper = "arXiv 2512.21017"
    names = ("SFTKey", "SFTKey-Tag", "SFT-Key")
    Config = SftKeyConfig

    def dimensions(self, stage: str) -> list[Dimension]:
        """How long the second phase is, and how fast."""
        return [
            Float(
                name=f"stage2_ratio.{self.kind}",
                path=f"{stage}.objective.stage2_ratio",
                low=0.0,
                high=0.5,
                default=0.25,
                why="0 is plain fine-tuning; the paper's second phase comes on top of the first (range ours)",
            ),
            Float(
                name=f"stage2_lr_scale.{self.kind}",
                path=f"{stage}.objective.stage2_lr_scale",
                low=0.1,
                high=1.0,
                log=True,
                default=1.0,
                why="few tokens carry the second phase's loss, so it may want a lower rate (ours)",
            ),
        ]

    def narrows(self, objective: Objective) -> bool:
        """It does."""
        return True

    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """Teacher forcing in two phases."""
        return SftKeyLearning(model, SftKeyConfig.model_validate(objective.settings), begin)


METHOD = SftKey()
