"""The policy as its stage began, without a second model: its adapter off, or the weights of then in today's place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Past:
    """What the policy was.

    Args:
        model: as the stage begins.
        leaves: whether it is what it was when its adapter is off. If not, a copy is kept of what is trained, which is
            right for every adapter whose frozen part stays as it is.
    """

    def __init__(self, model: Any, *, leaves: bool = False) -> None:
        self._model = model if leaves else None
        self._trained = [] if leaves else [weight for weight in model.parameters() if weight.requires_grad]
        self._then = [weight.detach().clone() for weight in self._trained]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within the block the model is what it was. No gradients."""
        with torch.no_grad():
            if self._model is not None:
                with self._model.disable_adapter():
                    yield
                return
            self._exchange()
            try:
                yield
            finally:
                self._exchange()

    def _exchange(self) -> None:
        for at, weight in enumerate(self._trained):
            weight.data, self._then[at] = self._then[at], weight.data
        # Autocast keeps narrow copies of weights, which are no longer of these.
        torch.clear_autocast_cache()
