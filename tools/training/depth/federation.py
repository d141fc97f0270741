"""A server and its clients, simulated: each trains in its turn, from what the server had when the round began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tunewright.domain.depth import Average
from tunewright.tools.training.depth.average import Averaging, Values, averaging
from tunewright.tools.training.depth.course import Turn


class Federation:
    """Federated averaging over the clients' turns.

    Args:
        rows: of each client.
        average: what the server does.
        names: of the weights that are trained.

    Raises:
        UsageError: the average does not fit what is trained.
    """

    def __init__(self, rows: Sequence[int], average: Average, names: Sequence[str]) -> None:
        self.weights = [count / sum(rows) for count in rows]
        """Of each client in the mean: its share of the rows (FedAvg's ``n_k / n``)."""
        self.averaging: Averaging = averaging(average, self.weights, names)
        self.uploaded = 0
        """Bytes that all clients have sent to the server so far."""
        self._server: Values | None = None
        self._aside: Values | None = None

    def enter(self, trained: Mapping[str, torch.Tensor], turn: Turn) -> None:
        """A client's turn begins: it gets the server's weights, and what is its own."""
        if turn.opens and turn.round == 0:
            self.averaging.open(trained, len(self.weights))
        if self._server is None:
            self._server = _copies(trained)
        _put(trained, {**self._server, **self.averaging.own(turn.client)})

    def leave(self, trained: Mapping[str, torch.Tensor], turn: Turn) -> None:
        """It ends: what the client sends is counted; after the round's last one the weights are the server's again."""
        for name, weight in trained.items():
            if self.averaging.shared(name, last=turn.last_round):
                self.uploaded += weight.numel() * weight.element_size()
        self.averaging.add(turn.client, self.weights[turn.client], trained)
        if turn.closes:
            _put(trained, self.averaging.result())
            self._server = None

    @contextmanager
    def served(self, trained: Mapping[str, torch.Tensor]) -> Iterator[None]:
        """Within the block the weights are the server's, also while a client trains."""
        if self._server is None:
            yield
            return
        self._aside = _copies(trained)
        _put(trained, {**self._server, **self.averaging.served()})
        try:
            yield
        finally:
            _put(trained, self._aside)
            self._aside = None

    def state(self) -> dict[str, Any]:
        """Within ``served``: the weights themselves are then the server's."""
        aside = self._aside or {}
        return {"aside": aside, "uploaded": self.uploaded, "averaging": self.averaging.state()}

    def restore(self, state: Mapping[str, Any], trained: Mapping[str, torch.Tensor]) -> None:
        """Takes up what ``state`` gave, the weights being what they were then."""
        self.averaging.restore(state["averaging"])
        self.uploaded = int(state["uploaded"])
        if state["aside"]:
            self._server = _copies(trained)
            _put(trained, state["aside"])


def _copies(trained: Mapping[str, torch.Tensor]) -> Values:
    return {name: weight.detach().clone() for name, weight in trained.items()}


def _put(trained: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, weight in trained.items():
            weight.copy_(values[name])
