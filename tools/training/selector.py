"""What a selector is: the contract of the files in ``selectors/``.

A file defines one object ``METHOD``; its module imports no torch, so that the host can ask for names and settings.
Packages add selectors by the entry-point group ``tunewright.selectors``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tunewright.domain.recipe import Stage
from tunewright.domain.space import Dimension
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import Family, MethodConfig

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded, Template
    from tunewright.tools.training.learning import Learning

EVERY_FAMILY: tuple[Family, ...] = ("supervised", "preference", "reward", "reinforcement")


def _silent(message: str) -> None:
    pass


@dataclass(frozen=True)
class Work:
    """How long a stage is: what the cost of a choice follows from."""

    rows: int
    """That the stage has to choose from."""
    steps: int
    batch_size: int

    @property
    def epochs(self) -> float:
        """Rows that are trained on, over those that there are."""
        return self.steps * self.batch_size / max(1, self.rows)


@dataclass(frozen=True)
class Choosing:
    """What a selector may know of the stage that it chooses rows for."""

    settings: Any
    """An instance of the selector's ``Config``."""
    keep: float
    """Share of the rows that stays, at most."""
    task: TaskSpec
    form: Template
    """How rows have become ids."""
    model: Any
    """As the stage finds it, in evaluation mode and without gradients. Whatever happens to its modes, its gradients and
    to random generators is undone afterwards; its weights have to be left as they are."""
    seed: int = 0
    """Of this choice. Random generators begin there."""
    device: str = "cpu"
    precision: str = "fp32"
    batch_size: int = 16
    note: Callable[[str], None] = _silent
    """Says a line to the user."""
    check: Callable[[int, int], None] = field(default=lambda done, of: None)
    """Called with what is done and what there is to do; raises ``Interrupted`` when it is time to stop."""

    def most(self, rows: int) -> int:
        """How many of the rows may stay: one at least."""
        return max(1, round(self.keep * rows))


class SelectorMethod(ABC):
    """One way to say which rows are trained on. Subclasses say what they are in class attributes."""

    kind: ClassVar[str]
    """Its name in recipes."""
    summary: ClassVar[str]
    """One line that says when to choose it."""
    paper: ClassVar[str]
    """Where it comes from, such as ``arXiv 2308.12032``."""
    names: tuple[str, ...] = ()
    """What people call it beside its kind."""
    plain_word: bool = False
    """Whether the kind is a word of everyday English, which in a brief need not mean the selector."""
    Config: type[MethodConfig] = MethodConfig
    families: tuple[Family, ...] = EVERY_FAMILY
    """Objectives that it can choose rows for."""
    copies_model: bool = False
    """Whether it trains a small adapter on the model that the stage finds, and takes it off again."""

    def dimensions(self, stage: str) -> list[Dimension]:
        """What can be searched of its settings, each with its range, default and source. ``keep`` is not among them.

        Args:
            stage: path of the recipe's stage, such as ``stages.0``.
        """
        return []

    def passes(self, settings: Any, work: Work) -> float:
        """What it costs: forward passes over the stage's rows, with a training step counted as three."""
        return 0.0

    def check(self, stage: Stage, task: TaskSpec | None = None) -> None:  # noqa: B027  most have nothing to check
        """Whether it goes with the rest of the stage, as far as that is known before a model is there.

        Raises:
            UsageError: it does not; the hint says what does.
        """

    @abstractmethod
    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], choosing: Choosing) -> Sequence[int]:
        """Indices of the rows to train on, ascending, each once: ``choosing.most(len(rows))`` of them at most.

        Equal rows, weights and seeds give equal choices. None at all is a fault, which the caller raises.

        Args:
            rows: that the objective can learn from.
            encoded: the same rows as ids.

        Raises:
            UsageError: nothing can be chosen from these rows in this way.
            Interrupted: by ``choosing.check``.
        """

    @property
    def guides(self) -> bool:
        """Whether it goes on weighing rows while they are trained on."""
        return type(self).guide is not SelectorMethod.guide

    def guide(self, learning: Learning, stage: Stage) -> Learning:
        """What the objective does in the stage, where the choice goes on during training."""
        return learning


def part(indices: Sequence[int], most: int, seed: int) -> list[int]:
    """Of the indices a random ``most`` at most, ascending."""
    import random

    kept = list(indices) if len(indices) <= most else random.Random(seed).sample(list(indices), most)
    return sorted(kept)


def highest(scores: Sequence[float], most: int) -> list[int]:
    """Indices of the ``most`` highest scores, ascending; of equal ones those that come first."""
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return sorted(order[:most])
