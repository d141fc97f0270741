"""What a mix policy is: the contract of the files in ``mixes/``.

A file defines one object ``METHOD``; its module imports no torch, so that the host can ask for names and settings.
Packages add policies by the entry-point group ``tunewright.mixes``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tunewright.domain.frozen import Json
from tunewright.domain.recipe import Stage
from tunewright.domain.space import Dimension
from tunewright.domain.task import TaskSpec
from tunewright.tools.training.method import Family, MethodConfig
from tunewright.tools.training.selector import EVERY_FAMILY, Work

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded, Template
    from tunewright.tools.training.learning import Learning
    from tunewright.tools.training.sources import Sources


def _silent(message: str) -> None:
    pass


@dataclass(frozen=True)
class Mixing:
    """What a policy may know of the stage that it mixes sources for. Two sources at least have rows."""

    settings: Any
    """An instance of the policy's ``Config``."""
    sources: Sources
    """Without general data."""
    encoded: Sequence[Encoded]
    """The rows of ``sources.rows`` as ids."""
    given: tuple[float, ...]
    """The recipe's weights, in the order of ``sources.names``; empty where it has none."""
    work: Work
    form: Template
    model: Any
    """As the stage finds it, in evaluation mode and without gradients; see ``Choosing.model``."""
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    note: Callable[[str], None] = _silent
    check: Callable[[int, int], None] = field(default=lambda done, of: None)
    """Called with what is done and what there is to do; raises ``Interrupted`` when it is time to stop."""

    @property
    def prior(self) -> tuple[float, ...]:
        """The recipe's weights; in proportion to sizes where it has none."""
        return self.given or self.sources.proportional

    @property
    def trained(self) -> int:
        """Rows that the stage trains on in all, each as often as it comes."""
        return self.work.steps * self.work.batch_size


@dataclass(frozen=True)
class Mixture:
    """What a policy decides."""

    weights: tuple[float, ...]
    """On the simplex, in the order of ``Mixing.sources.names``."""
    held: frozenset[int] = frozenset()
    """Indices of rows that the stage does not train on, because the policy measures on them while it does."""
    facts: dict[str, Json] = field(default_factory=dict)
    """What else there is to be kept beside the weights."""


class MixPolicyMethod(ABC):
    """One way to weigh the sources. Subclasses say what they are in class attributes."""

    kind: ClassVar[str]
    """Its name in recipes."""
    summary: ClassVar[str]
    """One line that says when to choose it."""
    paper: ClassVar[str]
    """Where it comes from, such as ``arXiv 2305.10429``."""
    names: tuple[str, ...] = ()
    """What people call it beside its kind."""
    plain_word: bool = False
    """Whether the kind is a word of everyday English, which in a brief need not mean the policy."""
    Config: type[MethodConfig] = MethodConfig
    families: tuple[Family, ...] = EVERY_FAMILY
    """Objectives whose rows it can mix."""
    takes_weights: bool = True
    """Whether the recipe's weights are where it begins."""
    copies_model: bool = False
    """Whether it trains small adapters on the model that the stage finds, and takes them off again."""

    def dimensions(self, stage: str) -> list[Dimension]:
        """What can be searched of its settings, each with its range, default and source.

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
    def weigh(self, mixing: Mixing) -> Mixture:
        """The weights that the stage begins with. Equal rows, weights of the model and seeds give equal ones.

        Raises:
            UsageError: these sources cannot be mixed in this way.
            Interrupted: by ``mixing.check``.
        """

    def guide(self, learning: Learning, stage: Stage, keep: Callable[[dict[str, Json]], None]) -> Learning:
        """What the objective does in the stage, where weights change during training.

        Args:
            keep: writes facts of the mixture down, in place of those before.
        """
        return learning
