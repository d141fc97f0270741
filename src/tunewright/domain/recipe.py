"""What one run trains: a recipe of stages. Content-hashed, so two equal recipes are one."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tunewright.domain.depth import Depth
from tunewright.domain.frozen import Frozen, Json, content_hash, flatten

Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["auto", "fp32", "bf16"]
PLAN_ARROW = " > "
"""Between the objectives of a recipe's stages."""


class MethodChoice(BaseModel):
    """A method by its ``kind`` and that method's own settings beside it.

    The union over ``kind`` is open: which settings a kind has is declared in that method's one file,
    and checked by ``tunewright.tools.training.registry``. The domain keeps them as they are.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str

    @property
    def settings(self) -> dict[str, Json]:
        """The method's own settings: everything but the fields declared here."""
        return dict(self.model_extra or {})


class Objective(MethodChoice):
    """What is minimised. ``kind`` names a file in ``tools/training/objectives/``."""

    kind: str = "sft"


class Reward(MethodChoice):
    """What an answer is worth in reinforcement learning. ``kind`` names a file in ``tools/training/rewards/``."""

    weight: float = 1.0
    """Of this reward in the sum."""


class Adapter(MethodChoice):
    """What is trained. ``kind`` names a file in ``tools/training/adapters/``."""

    kind: str = "lora"
    placement: str = "all-linear"
    """Which modules it sits on: ``all-linear``, ``attention``, ``mlp``, ``qv``."""
    compress: float = Field(1.0, gt=0, le=1)
    """Share of the update's energy that is kept after the last stage's training; 1 leaves it as it is."""

    @property
    def bare(self) -> dict[str, Json]:
        """Everything but what happens after training: what two stages must have in common to share an adapter."""
        return self.model_dump(mode="json", exclude={"compress"})


class MixPolicy(MethodChoice):
    """How the weights of the data sources come about. ``kind`` names a file in ``tools/training/mixes/``."""

    kind: str = "given"


class Selection(MethodChoice):
    """Which rows are trained on. ``kind`` names a file in ``tools/training/selectors/``."""

    kind: str = "all"
    keep: float = Field(1.0, gt=0, le=1)
    """Share of the rows that stays."""


class DataMix(Frozen):
    """What an epoch holds: how much of each data source, and which of its rows."""

    weights: tuple[float, ...] = ()
    """On the simplex, in the order of the sources that the stage learns from, or of all the task's, of which the stage
    takes those; general data is not among them. Empty means in proportion to their sizes."""
    policy: MixPolicy = MixPolicy()
    selection: Selection = Selection()
    replay: float = Field(0.0, ge=0, lt=1)
    """Share of an epoch's rows that come from the sources of general data, so that the model forgets less."""

    @model_validator(mode="after")
    def _on_simplex(self) -> Self:
        if self.weights and (min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-6):
            raise ValueError(f"data weights must be non-negative and sum to 1, got {self.weights}")
        return self


class Optimisation(Frozen):
    """How it is minimised. AdamW unless ``Memory`` says otherwise; one of ``epochs`` and ``steps`` is set."""

    lr: float = Field(gt=0)
    """Peak learning rate."""
    schedule: Schedule = "cosine"
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises linearly from zero."""
    batch_size: int = Field(16, gt=0)
    """Rows per optimiser step."""
    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    precision: Precision = "auto"
    """``auto`` is bf16 autocast where the device computes it natively, else fp32."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("set exactly one of epochs and steps")
        return self

    def total_steps(self, rows: int) -> int:
        """Optimiser steps over ``rows`` training rows; at least one."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * rows / self.batch_size))


class Memory(Frozen):
    """What keeps a stage's peak of memory low, at the price of time; at its defaults nothing does.

    ``checkpoint_every``, ``offload`` and ``compact`` change no bit, and ``micro_batch`` none but by rounding where
    nothing is dropped at random. The others change what is computed.
    """

    micro_batch: int | None = Field(None, gt=0)
    """Sequences that go through the model at a time, while a step's batch stays what it is; None: all of them."""
    checkpoint_every: int = Field(0, ge=0)
    """Of every so many layers one keeps nothing but its input for the backward pass, and is computed twice; 1: all
    layers, 0: none."""
    offload: bool = False
    """Keep what the backward pass needs elsewhere until then: a GPU's in the machine's memory, a CPU's on disk."""
    compact: bool = False
    """Give what is freed back to the system at once, on a CPU with glibc, which otherwise keeps up to as much again."""
    optimiser: Literal["adamw", "adamw8bit", "adafactor"] = "adamw"
    """``adamw8bit`` has moments of 8 bits and needs bitsandbytes and a GPU; ``adafactor`` has for a matrix the means of
    its rows and columns instead."""
    base_bits: Literal[32, 16, 8, 4] | None = None
    """Of a frozen weight. 16 is for a stage that computes in bf16 and changes none of its numbers; 8 and 4 need
    bitsandbytes and a GPU. None: 16 where it changes nothing, else 32."""
    vocabulary: int = Field(0, ge=0)
    """The loss's softmax is over the labels of a batch and the so many tokens nearest to them, which is a bound below
    the loss; 0: over all tokens."""


LEVERS = ("micro_batch", "checkpoint_every", "offload", "compact")
"""Of ``Memory``, what changes no result but by rounding."""


class Stage(Frozen):
    """Objective x data x adapter x optimisation, what keeps memory low, and how deep the model is at each step."""

    objective: Objective = Objective()
    data: DataMix = DataMix()
    adapter: Adapter = Adapter()
    optimisation: Optimisation
    memory: Memory = Memory()
    depth: Depth = Depth()
    carry: Literal["merge", "continue"] = "merge"
    """What becomes of the adapter of the stage before: merged into the weights below a new one, or trained on."""

    def total_steps(self, rows: int) -> int:
        """Optimiser steps where the stage has ``rows`` rows to choose from; at least one."""
        return self.optimisation.total_steps(max(1, round(self.data.selection.keep * rows)))


class Recipe(Frozen):
    """What one run trains. The seed is part of it and is never searched."""

    seed: int = Field(0, ge=0, lt=2**31)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=4)

    @model_validator(mode="after")
    def _carries(self) -> Self:
        if self.stages[0].carry == "continue":
            raise ValueError("the first stage has no adapter to continue")
        for before, stage in pairwise(self.stages):
            if stage.carry == "continue" and stage.adapter.bare != before.adapter.bare:
                raise ValueError("a stage that continues an adapter must have the adapter of the stage before it")
        return self

    @property
    def plan(self) -> str:
        """The objectives in turn, such as ``cpt > sft``."""
        return PLAN_ARROW.join(stage.objective.kind for stage in self.stages)

    @property
    def content_digest(self) -> str:
        """SHA-256 of the content. A depth that changes nothing is not in it, as it was not before there were depths."""
        return content_hash(self._hashed())

    @property
    def fingerprint(self) -> str:
        """The hash without the seed: what the search compares, since a seed is not a discovery."""
        return content_hash({name: value for name, value in self._hashed().items() if name != "seed"})

    def reseeded(self, seed: int) -> Recipe:
        """The same recipe with another seed."""
        return self.model_copy(update={"seed": seed})

    def differences(self, other: Recipe) -> dict[str, tuple[Json, Json]]:
        """Path -> (mine, theirs) wherever the two differ; a setting only one has is ``None`` in the other."""
        mine, theirs = flatten(self.model_dump(mode="json")), flatten(other.model_dump(mode="json"))
        return {
            path: (mine.get(path), theirs.get(path))
            for path in sorted(mine.keys() | theirs.keys())
            if mine.get(path) != theirs.get(path)
        }

    def _hashed(self) -> dict[str, Json]:
        whole = {index: {"depth"} for index, stage in enumerate(self.stages) if stage.depth == Depth()}
        return self.model_dump(mode="json", exclude={"stages": whole})
