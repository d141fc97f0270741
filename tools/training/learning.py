"""What an objective does during a stage: how rows become a batch, and a batch a loss.

One is made for each attempt at a stage. The trainer takes care of everything else: steps, micro-batches, clipping,
schedules, checkpoints. Random choices come from the stage's seed and the step, never from a generator that runs on,
so that a resumed stage draws what it would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.tools.training.batch import StageData, padded

Batch = dict[str, Any]
"""Column -> tensor, or list, with an entry for each sequence of the batch."""


def _silent(message: str) -> None:
    pass


@dataclass(frozen=True)
class Begin:
    """What an objective may know of its stage when it begins."""

    data: StageData
    seed: int = 0
    steps: int = 1
    """Optimiser steps of the stage."""
    device: str = "cpu"
    precision: str = "fp32"
    vocabulary: int = 0
    """Tokens, beside a batch's labels, that the loss's softmax is over; 0: all."""
    note: Callable[[str], None] = _silent
    """Says a line to the user, once."""
    stages: Path | None = None
    """Where the finished stages before this one are, as ``0``, ``1``, ..."""
    below: tuple[int, ...] = ()
    """Of those, the ones whose adapters are merged into the weights below this one's."""
    base: Callable[[], Any] | None = None
    """Loads the model that the first stage began with, anew and frozen."""
    leaves: bool = False
    """Whether the model is what the stage began with when its adapter is off."""
    check: Callable[[int, int], None] = field(default=lambda done, of: None)
    """Called within long work of a step; raises ``Interrupted`` when it is time to stop."""


class Learning:
    """Base of what objectives do: teacher forcing on the rows' own answers. Subclasses override what differs.

    Args:
        model: with the stage's adapter on it, in training mode. It is the policy.
        settings: an instance of the objective's ``Config``.
        begin: the stage.
    """

    zero_is_end = True
    """Whether a loss of exactly zero says that nothing is left to learn."""

    prompts_masked = True
    """Whether the batch's first sequences are the rows in turn, prompt first and without loss on it."""

    def __init__(self, model: Any, settings: Any, begin: Begin) -> None:
        self.model, self.settings, self.begin, self.data = model, settings, begin, begin.data

    def collate(self, places: Sequence[int]) -> Batch:
        """The rows at these indices into ``data.rows`` as one batch, on the CPU; ``items`` of it is not zero."""
        rows = [self.data.encoded[place] for place in places]
        return padded([(one.input_ids, one.labels) for one in rows], "cpu", filler=self.data.form.end)

    def due(self, batch: Batch, step: int) -> Batch:
        """The batch of this step, where which rows it has was not known when the one given was collated.

        Args:
            batch: as ``collate`` made it of the order laid out before the stage.
            step: from 0 within the stage.
        """
        return batch

    def prepare(self, batch: Batch, step: int) -> Batch:
        """What the step trains on, before it is cut into micro-batches: what rollouts and valuations replace.

        Args:
            batch: on the model's device.
            step: from 0 within the stage.
        """
        return batch

    def cut(self, batch: Batch, size: int | None) -> Iterator[Batch]:
        """The batch that ``prepare`` gave in micro-batches of about ``size`` sequences; what belongs together stays so.

        Args:
            size: None: all at once.
        """
        return parts(batch, size)

    def items(self, batch: Batch) -> float:
        """How many items the loss of this batch is a mean over."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Any:
        """The loss summed over the batch's items, a scalar with a graph."""
        raise NotImplementedError

    def tokens(self, batch: Batch) -> int:
        """Tokens that the policy reads in this batch, padding not counted."""
        return int(batch["attention_mask"].sum())

    def facts(self) -> Mapping[str, float]:
        """What else there is to report of the last step, such as ``reward``."""
        return {}

    def check(self, step: int) -> None:
        """After each step.

        Raises:
            FaultError: ``config``: training has collapsed in a way that the loss does not show.
        """

    def modules(self) -> Mapping[str, Any]:
        """What is trained beside the policy, such as a value head: name -> module."""
        return {}

    def rate(self, step: int) -> float:
        """The learning rate of a step over the schedule's."""
        return 1.0

    def finish(self) -> None:
        """After the last step: what the stage's adapter is without what only training needed."""

    def save(self, folder: Path) -> None:
        """Writes what belongs to the finished stage beside its adapter."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beyond the weights of the policy and ``modules``."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""


def parts(batch: Batch, size: int | None) -> Iterator[Batch]:
    """The batch in micro-batches of at most ``size`` sequences, without columns of padding that none of them needs.

    A batch's entries stand along the first dimension of every tensor and list.
    """
    count = len(batch["input_ids"])
    if size is None or size >= count:
        yield batch
        return
    for start in range(0, count, size):
        yield trimmed({name: column[start : start + size] for name, column in batch.items()})


def trimmed(batch: Batch) -> Batch:
    """The batch without the columns at either end that are padding in every sequence."""
    mask = batch["attention_mask"]
    used = mask.any(0).nonzero().flatten().tolist() or [0]
    first, last = used[0], used[-1] + 1
    width = mask.shape[1]
    if first == 0 and last == width:
        return batch
    return {
        name: column[:, first:last] if getattr(column, "ndim", 0) >= 2 and column.shape[1] == width else column
        for name, column in batch.items()
    }
