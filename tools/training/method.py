"""What a fine-tuning method is: the contract of the files in ``adapters/`` and ``objectives/``.

A file defines one object ``METHOD``; its module imports neither torch nor peft, so that the host can ask for
names, spaces and sizes. Only ``build`` needs them. Packages add methods by the entry-point groups
``tunewright.adapters`` and ``tunewright.objectives``.
"""

from __future__ import annotations

from typing import Any, Protocol

from tunewright.domain.frozen import Frozen
from tunewright.domain.recipe import Adapter, Objective
from tunewright.domain.space import Dimension
from tunewright.tools.models.facts import ModelFacts


class MethodConfig(Frozen):
    """Base of a method's own settings: unknown ones are refused, each has a default."""


class AdapterMethod(Protocol):
    """What is trained."""

    kind: str
    """Its name in recipes."""
    summary: str
    """One line that says when to choose it."""
    paper: str
    """Where it comes from, such as ``arXiv 2106.09685``; empty if nowhere."""
    Config: type[MethodConfig]
    placements: tuple[str, ...]
    """Values of ``Adapter.placement`` it takes, the default first."""
    mergeable: bool
    """Whether it can be added into the base weights."""
    exports_lora: bool
    """Whether what it saves is a LoRA checkpoint that serving software reads."""
    reads_weights: bool
    """Whether its forward pass computes with the base weights beyond multiplying by them, as DoRA's norms do."""
    step_cost: float
    """A training step's time over a forward pass of the same tokens, in fp32: the forecast's guess before anything
    is measured."""
    activation_cost: float
    """What the backward pass keeps of the layers, over what it keeps of them without an adapter; likewise."""

    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """What can be searched, each with its own range and default.

        Dimensions that are equal in name, path and range are one dimension in a space of several methods. The
        condition that this method is chosen is added by the space.

        Args:
            stage: path of the recipe's stage, such as ``stages.0``.
            max_rank: ranks above it are left out.
        """

    def build(self, model: Any, adapter: Adapter, seed: int) -> Any:
        """The model made trainable: what is trained requires gradients, everything else does not.

        The function it computes is unchanged until the first step. Equal seeds give equal adapters.

        Raises:
            UsageError: the method does not fit this model.
        """

    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """Exactly how many parameters ``build`` makes trainable.

        Raises:
            UsageError: the method does not fit this model.
        """


class ObjectiveMethod(Protocol):
    """What is minimised."""

    kind: str
    summary: str
    paper: str
    Config: type[MethodConfig]

    def dimensions(self, stage: str) -> list[Dimension]:
        """What can be searched of its own settings."""

    def arguments(self, objective: Objective) -> dict[str, Any]:
        """What it sets of TRL's ``SFTConfig``."""
