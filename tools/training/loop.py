"""What an adapter does around the optimiser's steps, where its training is more than a loss and its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class Loop:
    """Does nothing; a method that needs more overrides what it needs.

    Steps count from 0 within the stage. After a resume the loop is made anew for a rebuilt model, given its state,
    and goes on at the step after the checkpoint.
    """

    def pace(self, schedule: Any) -> None:
        """Changes the learning rate's schedule before the first step; it has ``lr_lambdas``, functions of the step."""

    def before_step(self, step: int) -> None:
        """Before the forward pass of a step."""

    def batch(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The batch to train on instead of the one that is due; both as the collator makes them."""
        return inputs

    def reads(self, batch: Mapping[str, Any]) -> None:
        """Before the forward pass of a micro-batch."""

    def penalty(self) -> Any:
        """A scalar tensor added to the loss that is minimised, not to the one that is reported; or None."""
        return None

    def after_backward(self, step: int) -> None:
        """When the gradients are there and clipped, before they are used."""

    def after_step(self, step: int, optimiser: Any) -> None:
        """After the optimiser's step."""

    def whole(self) -> AbstractContextManager[None]:
        """Within the block, between two steps, the model is what is measured and kept in checkpoints."""
        return nullcontext()

    def facts(self) -> Mapping[str, float]:
        """What there is to report of the last step."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beyond trainable weights: tensors and plain values, nested or not."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
