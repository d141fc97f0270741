"""What a server makes of its clients' adapters.

``ab``: FedAvg (McMahan et al., arXiv 1602.05629), the mean of each matrix, weighted by the clients' rows. ``share_a``:
FedSA-LoRA (Guo et al., arXiv 2410.01463), the mean of ``A`` alone, while each client keeps its ``B``. ``product_svd``:
the mean of the products ``B A``, which the means of the factors do not give, and of that the best of LoRA's rank.

Ours: with ``share_a`` one adapter has to come out, so ``B`` is the mean of the clients' own when a depth is done, which
is an upload of its own; and the split of the products, which keeps ``A`` as long as the clients' are. An even split of
small singular values would leave both factors near zero, where neither has a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tunewright.domain.depth import Average as Kind
from tunewright.domain.errors import UsageError

Values = dict[str, torch.Tensor]
"""Trained weights by name."""
_A, _B = ".lora_A.", ".lora_B."


class Averaging:
    """FedAvg of each matrix, in fp64."""

    def __init__(self) -> None:
        self._sums: Values = {}

    def open(self, values: Mapping[str, torch.Tensor], clients: int) -> None:
        """A depth begins with these weights for every client."""

    def own(self, client: int) -> Values:
        """What a client has beside what the server gives it."""
        return {}

    def shared(self, name: str, *, last: bool) -> bool:
        """Whether clients send the weight.

        Args:
            last: whether it is the last round of a depth.
        """
        return True

    def add(self, client: int, weight: float, values: Mapping[str, torch.Tensor]) -> None:
        """Takes a client's weights; ``weight`` is its share in the mean."""
        for name, value in values.items():
            part = value.detach().double() * weight
            self._sums[name] = self._sums[name] + part if name in self._sums else part

    def result(self) -> Values:
        """The server's weights after a round, which is over then."""
        found = {name: total.float() for name, total in self._sums.items()}
        self._sums = {}
        return found

    def served(self) -> Values:
        """What takes the place of the server's weights where the whole model is looked at."""
        return {}

    def state(self) -> dict[str, Any]:
        """Between two turns."""
        return {"sums": self._sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        self._sums = dict(state["sums"])


class ShareA(Averaging):
    """FedSA-LoRA: each client's ``B`` is its own.

    Args:
        weights: of the clients.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = weights
        self._local: list[Values] = []

    def open(self, values: Mapping[str, torch.Tensor], clients: int) -> None:
        """Every client begins with the same ``B``."""
        self._local = [{name: one.detach().clone() for name, one in values.items() if _B in name}] * clients

    def own(self, client: int) -> Values:
        """Its ``B``."""
        return self._local[client]

    def shared(self, name: str, *, last: bool) -> bool:
        """``A``; and ``B`` once for each depth, at its end."""
        return last or _A in name

    def add(self, client: int, weight: float, values: Mapping[str, torch.Tensor]) -> None:
        """``A`` goes into the mean, ``B`` stays."""
        super().add(client, weight, {name: value for name, value in values.items() if _B not in name})
        self._local[client] = {name: value.detach().clone() for name, value in values.items() if _B in name}

    def result(self) -> Values:
        """The mean of ``A``, and that of the clients' ``B``."""
        return {**super().result(), **self.served()}

    def served(self) -> Values:
        """The mean of the clients' ``B``."""
        mean = Averaging()
        for client, weight in enumerate(self.weights):
            mean.add(client, weight, self._local[client])
        return mean.result()

    def state(self) -> dict[str, Any]:
        """Also every client's ``B``."""
        return {**super().state(), "local": list(self._local)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        super().restore(state)
        self._local = [dict(values) for values in state["local"]]


class Products(Averaging):
    """The mean of the products, cut to LoRA's rank."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[tuple[float, Values]] = []

    def add(self, client: int, weight: float, values: Mapping[str, torch.Tensor]) -> None:
        """Keeps the factors: stacked, they are the mean product in factors."""
        self._parts.append((weight, {name: value.detach().clone() for name, value in values.items()}))

    def result(self) -> Values:
        """``A`` and ``B`` of every module. A single client's are its own."""
        parts, self._parts = self._parts, []
        if len(parts) == 1:
            return parts[0][1]
        found: Values = {}
        for down in (name for name in parts[0][1] if _A in name):
            up = down.replace(_A, _B)
            found[down], found[up] = _best([(weight, values[down], values[up]) for weight, values in parts])
        return found

    def state(self) -> dict[str, Any]:
        """The clients' factors."""
        return {"parts": [[weight, values] for weight, values in self._parts]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        self._parts = [(weight, dict(values)) for weight, values in state["parts"]]


def averaging(kind: Kind, weights: Sequence[float], names: Sequence[str]) -> Averaging:
    """The average of that kind.

    Args:
        weights: of the clients; they sum to 1.
        names: of the weights that are trained.

    Raises:
        UsageError: it needs LoRA's two matrices, and something else is trained.
    """
    strange = [name for name in names if _A not in name and _B not in name]
    if kind != "ab" and strange:
        raise UsageError(
            f"the average '{kind}' is of LoRA's matrices A and B, and '{strange[0]}' is neither",
            "take lora, or the average 'ab'",
        )
    match kind:
        case "share_a":
            return ShareA(weights)
        case "product_svd":
            return Products()
        case _:
            return Averaging()


def _best(parts: Sequence[tuple[float, torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """``A`` (rank, inputs) and ``B`` (outputs, rank) with the nearest product to the mean of ``B A``.

    Args:
        parts: of each client its weight, ``A`` and ``B``.
    """
    rank = len(parts[0][1])
    down = torch.cat([one.double() for _, one, _ in parts])
    up = torch.cat([weight * one.double() for weight, _, one in parts], dim=1)
    left, left_core = torch.linalg.qr(up)
    right, right_core = torch.linalg.qr(down.T)
    inner, values, outer = torch.linalg.svd(left_core @ right_core.T)
    length = sum(weight * float(one.double().norm()) for weight, one, _ in parts) / rank**0.5
    first, second = torch.zeros_like(parts[0][1]), torch.zeros_like(parts[0][2])
    there = min(rank, len(values))  # a narrow module has fewer directions than the rank
    first[:there] = (length * (outer[:there] @ right.T)).float()
    second[:, :there] = ((left @ inner[:, :there]) * (values[:there] / length)).float()
    return first, second
