"""What a fine-tuning method is: the contract of the files in ``adapters/`` and ``objectives/``.

A file defines one object ``METHOD``; its module imports neither torch nor peft, so that the host can ask for
names, spaces and sizes. Only what touches a model needs them. Packages add methods by the entry-point groups
``tunewright.adapters`` and ``tunewright.objectives``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen
from tunewright.domain.recipe import Adapter, Objective
from tunewright.domain.space import Dimension, Float
from tunewright.domain.task import RowFormat, TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.models import placement
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.loop import Loop

if TYPE_CHECKING:
    from tunewright.tools.models.prompt import Encoded, Template
    from tunewright.tools.training.learning import Begin, Learning


class MethodConfig(Frozen):
    """Base of a method's own settings: unknown ones are refused, each has a default."""


def no_rows(count: int) -> list[Mapping[str, Any]]:
    """For a model that is built without data.

    Raises:
        UsageError: always.
    """
    raise UsageError("this adapter looks at training rows when it is built, and there are none here")


@dataclass(frozen=True)
class Start:
    """What an adapter may know of its stage when it is put on the model."""

    seed: int = 0
    steps: int = 1
    """Optimiser steps of the stage."""
    rows: Callable[[int], list[Mapping[str, Any]]] = no_rows
    """The first ``n`` training rows of the stage as batches on the model's device: ``input_ids``,
    ``attention_mask`` and ``labels`` (-100 where no loss is), each (rows, tokens). Looking changes no random state."""
    first_pass: int = 1
    """How many rows it takes from the first until every row that the stage trains on has come once."""


class AdapterMethod(ABC):
    """What is trained. Subclasses say what they are in class attributes and override what differs."""

    kind: ClassVar[str]
    """Its name in recipes."""
    summary: ClassVar[str]
    """One line that says when to choose it."""
    paper: ClassVar[str] = ""
    """Where it comes from: ``arXiv 2106.09685``, or the library's class where there is no paper."""
    names: tuple[str, ...] = ()
    """What people call it beside its kind, the official name first: ``SDS-LoRA``, ``full fine-tuning``."""
    plain_word: bool = False
    """Whether the kind is a word of everyday English, which in a brief need not mean the method."""
    Config: type[MethodConfig] = MethodConfig
    placements: tuple[str, ...] = placement.PLACEMENTS
    """Values of ``Adapter.placement`` that a search takes, the default first."""
    mergeable: bool = True
    """Whether it can be added into the base weights."""
    exports_lora: bool = False
    """Whether what it saves is a LoRA checkpoint that serving software reads."""
    converts_to_lora: bool = False
    """Whether its update is a sum with each weight, so that PEFT's ``convert_to_lora`` takes it."""
    reads_weights: bool = False
    """Whether its forward pass computes with the base weights beyond multiplying by them, as DoRA's norms do."""
    recomputes: bool = True
    """Whether its layers can be run twice in a step, once more in the backward pass, to the same effect."""
    identity: bool = True
    """Whether the function computed is unchanged until the first step. Prompts that are put before the input are no
    identity, nor is a quantised base."""
    everyday: bool = False
    """Whether a brief that names no adapter searches it: a few that rarely disappoint."""
    trains_adapter: bool = True
    """Whether what is trained stands beside the model's own weights, and not in their place."""
    step_cost: float = 2.5
    """A training step's time over a forward pass of the same tokens, in fp32: the forecast's guess before anything
    is measured."""
    scoring_cost: float = 1.3
    """The time to score a row with it, unmerged, over that with the base model; likewise, in bf16 where that is to be
    had, for rows of a few dozen tokens."""
    activation_cost: float = 1.5
    """What the backward pass keeps of the layers, over what it keeps of them without an adapter; likewise."""
    kept_share: float = 0.55
    """Of that, what is kept in the end, to be read; the rest are gaps that passing tensors leave in the heap of a
    CPU."""
    transfers: bool = False
    """Whether what a layer has learned can be given to another one: each has parameters of its own, which mean the same
    beside other weights of the same shapes and begin as no change."""
    lr: tuple[float, float, float] = (1e-4, 3e-3, 5e-4)
    """Lowest, highest and default learning rate."""
    lr_source: str = "searched per adapter: each prefers another range (arXiv 2602.04998)"
    """Where the range comes from."""
    families: tuple[Family, ...] = ("supervised", "preference", "reward", "reinforcement")
    """What it can be trained by."""
    counts_exactly: bool = True
    """Whether ``trainable_parameters`` is exact, and no bound."""

    @property
    def continues(self) -> bool:
        """Whether another stage can train on what a finished stage left: nothing happens around or after the steps."""
        own = type(self)
        return own.loop is AdapterMethod.loop and own.finish is AdapterMethod.finish and self.trains_adapter

    def leaves(self, carry: str) -> bool:
        """Whether with the adapter off the model is what a stage began with that carries on so."""
        return carry == "merge" and self.identity and self.trains_adapter

    @property
    def compresses(self) -> bool:
        """Whether the result can be compressed after training."""
        return self.exports_lora or self.converts_to_lora

    def learning_rate(self, stage: str, scale: float = 1.0) -> Float:
        """The search over its learning rate.

        Args:
            scale: of the objective, over supervised training.
        """
        low, high, default = (_rounded(rate * scale) for rate in self.lr)
        return Float(
            name=f"lr.{self.kind}",
            path=f"{stage}.optimisation.lr",
            low=low,
            high=high,
            log=True,
            default=default,
            why=self.lr_source,
        )

    @abstractmethod
    def dimensions(self, stage: str, *, max_rank: int | None = None) -> list[Dimension]:
        """What can be searched, each with its own range and default.

        Dimensions that are equal in name, path and range are one dimension in a space of several methods. The
        condition that this method is chosen is added by the space.

        Args:
            stage: path of the recipe's stage, such as ``stages.0``.
            max_rank: ranks above it are left out.
        """

    @abstractmethod
    def build(self, model: Any, adapter: Adapter, start: Start) -> Any:
        """The model made trainable: what is trained requires gradients, everything else does not.

        Equal seeds (and rows, where it looks at them) give equal adapters.

        Raises:
            UsageError: the method does not fit this model.
        """

    @abstractmethod
    def trainable_parameters(self, facts: ModelFacts, adapter: Adapter) -> int:
        """Exactly how many parameters ``build`` makes trainable; an upper bound where it looks at data to decide.

        Raises:
            UsageError: the method does not fit this model.
        """

    def loop(self, model: Any, adapter: Adapter, start: Start) -> Loop:
        """What happens around the steps, for the model that ``build`` gave."""
        return Loop()

    def finish(self, model: Any, adapter: Adapter) -> Any:
        """The trained model as it is measured and saved; it computes the same function."""
        return model

    def lr_factor(self, weight: str, adapter: Adapter) -> float:
        """The learning rate of one trainable weight, over the recipe's.

        Args:
            weight: its name in ``named_parameters``.
        """
        return 1.0


Family = Literal["supervised", "preference", "reward", "reinforcement"]
"""What an objective learns from: answers, better and worse answers, the same without a policy, rewards."""


class ObjectiveMethod(ABC):
    """What is minimised. Subclasses say what they are in class attributes and override what differs."""

    kind: ClassVar[str]
    """Its name in recipes."""
    summary: ClassVar[str]
    """One line that says when to choose it."""
    paper: ClassVar[str]
    """Where it comes from, such as ``arXiv 2203.02155``."""
    family: ClassVar[Family] = "supervised"
    names: tuple[str, ...] = ()
    """What people call it beside its kind, the official name first."""
    plain_word: bool = False
    """Whether the kind is a word of everyday English, which in a brief need not mean the objective."""
    Config: type[MethodConfig] = MethodConfig
    formats: tuple[RowFormat, ...] = ("label", "completion", "chat")
    """The forms of rows that it can learn from, those it learns from best first: where a study has rows of the first,
    rows of the others are left to other stages."""
    lr_scale: float = 1.0
    """Its learning rates over those that the adapter declares, which are for supervised training."""
    lr_source: str = ""
    """Where the scale comes from, if it is not 1."""
    step_cost: float = 1.0
    """A training step's time over a supervised one's on the same rows: the forecast's guess before anything is
    measured."""
    activation_cost: float = 1.0
    """What the backward pass keeps of a sequence over what a supervised step keeps of it; likewise."""

    learns_whole: bool = False
    """Whether the prompts' tokens carry loss too, whatever its settings."""
    reads_layers: bool = False
    """Whether it looks at some of the model's layers by themselves, so that they have to stay throughout a stage."""

    @property
    def trains_policy(self) -> bool:
        """Whether the model that comes out answers otherwise than the one that went in."""
        return self.family != "reward"

    def dimensions(self, stage: str) -> list[Dimension]:
        """What can be searched of its own settings, each with its range, default and source.

        Args:
            stage: path of the recipe's stage, such as ``stages.0``.
        """
        return []

    def check(self, objective: Objective, task: TaskSpec | None = None) -> None:  # noqa: B027  most have nothing to check
        """Whether settings and task go together, as far as that is known before a model is there.

        Raises:
            UsageError: they do not; the hint says what does.
        """

    def admit(self, row: Row, encoded: Encoded, form: Template, objective: Objective) -> str | None:
        """Why it cannot learn from a row, in a few words that several rows share; None if it can."""
        return None if encoded.completion else f"keeps no token of its answer within {form.limit} tokens"

    def cost(self, objective: Objective) -> float:
        """``step_cost`` with these settings."""
        return self.step_cost

    def recalls(self, objective: Objective) -> bool:
        """Whether it asks during the stage what the policy said when the stage began."""
        return False

    def narrows(self, objective: Objective) -> bool:
        """Whether its loss is the likelihood of given tokens, so that over a part of the vocabulary it is a bound."""
        return False

    def sequences(self, objective: Objective) -> int:
        """Sequences that a step reads for each of its rows, such as the two answers of a pair."""
        return 1

    @abstractmethod
    def learning(self, model: Any, objective: Objective, begin: Begin) -> Learning:
        """What it does during a stage.

        Raises:
            UsageError: it does not fit the model.
        """


def _rounded(rate: float) -> float:
    """To three significant digits, so that a product reads as it is meant."""
    return float(f"{rate:.3g}")
