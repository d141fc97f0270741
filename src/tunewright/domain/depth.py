"""How much of a model a stage trains at a time, and by how many: progressive depth and federated averaging."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tunewright.domain.frozen import Frozen

Grouping = Literal["similarity", "even", "random"]
Partition = Literal["iid", "dirichlet"]
Average = Literal["ab", "product_svd", "share_a"]

_OF_GROWTH = ("start_layers", "beta", "grouping", "contiguous", "full_share")
_OF_CLIENTS = ("local_steps", "partition", "alpha", "average")


class Depth(Frozen):
    """Developmental fine-tuning (DevFT), arXiv 2508.00041; at its defaults the whole model is trained by one.

    A stage goes through ``stages`` depths, each deeper than the one before it and the last one the whole model. At each
    the layers are put in groups, and one layer stands for a group; what it has learned goes to all of its group.
    A stage that continues an adapter begins with what its layers have learned, fused likewise.

    The stages, the anchors with ``beta``, the groups and the clients are the paper's; what a step belongs to, and
    ``full_share``, are ours.
    """

    stages: int = Field(1, ge=1, le=4)
    """Depths that are gone through, the whole model among them; fewer where the model has too few layers. 1: the whole
    model from the first step on."""
    start_layers: int | None = Field(None, gt=0)
    """Layers of the first depth, from which it grows by one factor each time. None: so many that it doubles."""
    beta: float = Field(0.1, ge=0, le=1)
    """How far a layer that stands for a group is moved from the group's first layer towards the others: times the sum
    of their differences. 0 is the first layer alone, 1 / size the group's mean."""
    grouping: Grouping = "similarity"
    """Which layers are a group: similar ones, by spectral clustering; equally many that follow each other; any."""
    contiguous: bool = False
    """Whether the layers of a group follow each other."""
    full_share: float | None = Field(None, gt=0, lt=1)
    """Share of the steps that the whole model takes; the shallower ones take the rest in equal parts. None: equal parts
    for all."""
    clients: int = Field(1, ge=1, le=1000)
    """Simulated clients that the rows are divided among. They train one after the other, each from the same adapter."""
    local_steps: int = Field(10, gt=0)
    """Optimiser steps of a client in a round, at least, where the depth has as many. All steps of all clients are
    steps of the stage."""
    partition: Partition = "iid"
    """How rows are divided: at random in equal parts, or each label, or else source, by a draw from a Dirichlet
    distribution."""
    alpha: float = Field(0.5, gt=0)
    """Of the Dirichlet distribution: the smaller, the more the clients differ."""
    average: Average = "ab"
    """What the server makes of the clients' adapters: the mean of each matrix; the best of LoRA's rank for the mean of
    the products; the mean of ``A`` alone, while each client keeps its ``B``."""

    @property
    def on(self) -> bool:
        """Whether it changes anything."""
        return self.stages > 1 or self.clients > 1

    @model_validator(mode="after")
    def _read(self) -> Self:
        """Whether something reads each setting that is not at its default."""
        if self.stages == 1:
            self._unread(_OF_GROWTH, "are for progressive depth: set stages to 2 or more")
        if self.clients == 1:
            self._unread(_OF_CLIENTS, "are for federated training: set clients to 2 or more")
        if self.partition == "iid":
            self._unread(("alpha",), "is for the partition 'dirichlet'")
        if self.grouping == "even":
            self._unread(("contiguous",), "is for other groups: even ones are contiguous already")
        return self

    def _unread(self, names: tuple[str, ...], why: str) -> None:
        fields = type(self).model_fields
        found = [name for name in names if getattr(self, name) != fields[name].default]
        if found:
            raise ValueError(f"{', '.join(found)} {why}, or leave {'it' if len(found) == 1 else 'them'} out")
