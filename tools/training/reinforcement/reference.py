"""The policy as its stage began, without a second model: the trained weights of then, put in the place of today's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Past:
    """A copy of what the stage trains. It is right for every adapter whose frozen part stays as it is.

    Args:
        model: as the stage begins.
    """

    def __init__(self, model: Any) -> None:
        self._trained = [weight for weight in model.parameters() if weight.requires_grad]
        self._then = [weight.detach().clone() for weight in self._trained]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within the block the model is what it was. No gradients."""
        self._exchange()
        try:
            with torch.no_grad():
                yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for at, weight in enumerate(self._trained):
            weight.data, self._then[at] = self._then[at], weight.data
        # Autocast keeps narrow copies of weights, which are no longer of these.
        torch.clear_autocast_cache()
