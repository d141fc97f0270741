"""DWM: rows weighted inside each batch by a small model that learns, during training, what lowers the loss of rows held
out. Yu et al., "LLM Data Selection and Utilization via Dynamic Bi-level Optimization", arXiv 2507.16178.

::

    w      = B softmax(g(features of the batch's rows))              sums to the batch's size B
    theta' = theta - eta sum_i w_i grad l_i(theta)                    what one step would do
    psi   <- psi - eta_psi grad_psi L_held(theta'(psi))               every ``update_every`` steps
    dL_held / dw_i = - eta < grad L_held(theta'), grad l_i(theta) >   exact: no second derivatives are needed

The two levels are the paper's; of it only the abstract and opening were read, so what follows is ours. The features:
loss, length, source and progress. The step looked at is plain gradient descent at the recipe's rate, the one taken is
AdamW. Copies of a row in a batch share one weight. The rows held out are training rows, told by their content; their
loss is the answers' likelihood, whatever the objective. Each step reads its batch once more for the losses; each update
takes three more steps' work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.space import Dimension, Float, Int
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.selector import Choosing, SelectorMethod, Work, part
from tunewright.tools.training.targets import TargetConfig, check_target, targets

if TYPE_CHECKING:
    from tunewright.domain.recipe import Stage
    from tunewright.domain.task import TaskSpec
    from tunewright.tools.models.prompt import Encoded
    from tunewright.tools.training.learning import Learning


class DwmConfig(TargetConfig):
    """Settings of DWM."""

    update_every: int = Field(10, ge=1)
    """Steps from one update of the weighting model to the next. Longer than the stage, all rows weigh the same."""
    width: int = Field(32, ge=1)
    """Of the weighting model's hidden layer."""
    lr: float = Field(1e-2, gt=0)
    """Of the weighting model, under Adam: eta_psi."""
    temperature: float = Field(1.0, gt=0)
    """Scores are divided by it before the softmax."""
    val_rows: int = Field(16, ge=1)
    """Rows of those held out that an update looks at."""


class Dwm(SelectorMethod):
    """Weighs rows while they are trained on."""

    kind = "dwm"
    summary = "weigh the rows of each batch by what they do for held-out ones, learnt during training"
    paper = "arXiv 2507.16178"
    names = ("DWM", "data weighting model", "bi-level data weighting", "bilevel data weighting", "bi-level weights")
    Config: type[MethodConfig] = DwmConfig
    families = ("supervised",)

    def dimensions(self, stage: str) -> list[Dimension]:
        """How often and how fast weights change."""
        path = f"{stage}.data.selection"
        return [
            Int(
                name=f"update_every.{self.kind}", path=f"{path}.update_every", low=5, high=50, log=True, default=10,
                why="a fixed number of steps in arXiv 2507.16178; range for stages of some hundred steps (ours)",
            ),
            Float(
                name=f"lr.{self.kind}", path=f"{path}.lr", low=1e-3, high=3e-2, log=True, default=1e-2,
                why="few updates have to show within a stage (ours)",
            ),
        ]  # fmt: skip

    def passes(self, settings: Any, work: Work) -> float:
        """One more reading of every batch, and of some forward and backward: the step, the held-out rows, each row."""
        update = 3 + 3 + 3 * settings.val_rows / work.batch_size
        return float(work.epochs * (1 + update / settings.update_every))

    def check(self, stage: Stage, task: TaskSpec | None = None) -> None:
        """Whether rows can be weighted one by one, and the target sources are there."""
        from tunewright.tools.training.registry import objective, settings

        check_target(self.kind, stage.data.selection.settings.get("target", ()), task)
        aim = stage.objective
        if getattr(settings(objective(aim.kind), aim), "packing", False):
            raise UsageError(
                f"'{self.kind}' weighs rows, and packed rows share sequences",
                f"set packing of '{aim.kind}' to false",
            )

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """Those that are not held out; where they are more than may stay, a random part of them."""
        held = set(targets(rows, choosing.settings))
        left = [index for index in range(len(rows)) if index not in held]
        return part(left, choosing.most(len(rows)), choosing.seed)

    def guide(self, learning: Learning, stage: Stage) -> Learning:
        """The objective, weighted."""
        from tunewright.tools.training.weighting import Weighting

        data, settings = learning.data, DwmConfig.model_validate(stage.data.selection.settings)
        held = [data.admitted[at] for at in targets([data.rows[place] for place in data.admitted], settings)]
        return Weighting(learning, settings, stage.optimisation.lr, held)


METHOD = Dwm()
