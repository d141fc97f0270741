"""LESS: rows whose training would lower the loss of a target most. Xia et al., arXiv 2402.04333.

A LoRA is warmed up on a few rows; at the end of each of its epochs, every row's Adam step is compared with gradients
of target rows (tools/training/influence.py). A row's score is its influence on the subtask that it helps most; subtasks
are the target's sources. The paper: 5 % of the rows for 4 epochs, LoRA of rank 128, 8192 numbers a gradient. Ours by
default: two epochs, since each costs three passes over all rows; a rank of 8. The target is held out of the training
rows by content and not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.selector import Choosing, SelectorMethod, Work, highest, part
from tunewright.tools.training.targets import TargetConfig, check_target, targets

if TYPE_CHECKING:
    from tunewright.domain.recipe import Stage
    from tunewright.domain.task import TaskSpec
    from tunewright.tools.models.prompt import Encoded
    from tunewright.tools.training.influence import Sketch
    from tunewright.tools.training.proxy import Proxy


class LessConfig(TargetConfig):
    """Settings of LESS."""

    warmup: float = Field(0.05, gt=0, le=1)
    """Share of the rows that the LoRA is warmed up on."""
    epochs: int = Field(2, ge=1)
    """How often it goes through them; gradients are taken after each time."""
    rank: int = Field(8, ge=1)
    """Of the LoRA."""
    lr: float = Field(1e-3, gt=0)
    """Of the warm-up; it falls linearly to zero over the epochs."""
    numbers: int = Field(8192, ge=1)
    """How many numbers a gradient is projected to."""
    most_held: int = Field(32, ge=1)
    """No more than so many target rows are held out of each source."""


class Less(SelectorMethod):
    """Compares gradients."""

    kind = "less"
    summary = "rows whose gradients point where a held-out target's do: dear, several passes over the rows"
    paper = "arXiv 2402.04333"
    names = ("LESS", "gradient influence selection", "influence selection")
    plain_word = True
    Config: type[MethodConfig] = LessConfig
    families = ("supervised",)
    copies_model = True

    def dimensions(self, stage: str) -> list[Dimension]:
        """How long it warms up."""
        return [
            Choice(
                name=f"epochs.{self.kind}",
                path=f"{stage}.data.selection.epochs",
                options=(1, 2, 4),
                default=2,
                why="4 in arXiv 2402.04333, whose every epoch is three passes over all rows (range ours)",
            )
        ]

    def passes(self, settings: Any, work: Work) -> float:
        """Forward and backward over every row at each checkpoint, and the warm-up."""
        return float(settings.epochs * (3 + 3 * settings.warmup))

    def check(self, stage: Stage, task: TaskSpec | None = None) -> None:
        """Whether the target sources are there."""
        check_target(self.kind, stage.data.selection.settings.get("target", ()), task)

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """Of the rows that are not held out, those that help the ones that are most."""
        from tunewright.tools.training.influence import Sketch, influence
        from tunewright.tools.training.proxy import proxy

        settings: Any = choosing.settings
        held = targets(rows, settings)
        pool = sorted(set(range(len(rows))) - set(held))
        warm = part(pool, max(1, round(settings.warmup * len(pool))), choosing.seed)
        pooled, subtasks = [encoded[index] for index in pool], _by_source(rows, encoded, held)
        alike, rates = [], []
        with proxy(
            choosing.model, rank=settings.rank, lr=settings.lr, seed=choosing.seed, filler=choosing.form.end,
            precision=choosing.precision,
        ) as small:  # fmt: skip
            size = sum(weight.numel() for weight in small.trained)
            sketch = Sketch(size, settings.numbers, choosing.seed, small.device)
            for epoch in range(settings.epochs):
                rates.append(_warm_up(small, [encoded[index] for index in warm], epoch, settings, choosing))
                alike.append(_alike(small, sketch, pooled, subtasks, choosing))
        return [pool[place] for place in highest(influence(alike, rates), choosing.most(len(rows)))]


def _by_source(rows: Sequence[Row], encoded: Sequence[Encoded], held: Sequence[int]) -> list[list[Encoded]]:
    found: dict[str, list[Encoded]] = {}
    for index in held:
        found.setdefault(rows[index]["source"], []).append(encoded[index])
    return list(found.values())


def _warm_up(small: Proxy, rows: Sequence[Encoded], epoch: int, settings: LessConfig, choosing: Choosing) -> float:
    """One epoch in batches of the stage's size. Gives its mean learning rate."""
    import random

    order = random.Random(f"{choosing.seed} {epoch}").sample(list(rows), len(rows))
    starts = range(0, len(order), choosing.batch_size)
    used = []
    for number, start in enumerate(starts):
        rate = settings.lr * (1 - (epoch + number / len(starts)) / settings.epochs)
        for group in small.optimiser.param_groups:
            group["lr"] = rate
        used.append(rate)
        small.step(order[start : start + choosing.batch_size])
        choosing.check(0, 1)
    return sum(used) / len(used)


def _alike(
    small: Proxy, sketch: Sketch, rows: Sequence[Encoded], subtasks: Sequence[Sequence[Encoded]], choosing: Choosing
) -> Any:
    """(rows, subtasks): the mean cosine of Adam's step on each row with the gradients of each subtask's rows."""
    import torch

    from tunewright.tools.training.influence import adam_direction

    wanted = [torch.stack([sketch(small.gradient(row)) for row in subtask]).mean(0) for subtask in subtasks]
    towards = torch.stack(wanted).T
    moments = small.moments()
    found = []
    for number, row in enumerate(rows):
        found.append(sketch(adam_direction(small.gradient(row), *moments)) @ towards)
        choosing.check(number, len(rows))
    return torch.stack(found).cpu()


METHOD = Less()
