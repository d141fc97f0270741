"""Keeps the experts of a pool busy: UniPool's balance loss, one step behind. Huang et al., arXiv 2605.06665."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.tools.training.loop import Loop


class PoolBalance(Loop):
    """Adds ``c M sum_e f_e P_e`` for each pool, averaged over pools: 1 c where all experts have an equal part.

    ``f_e`` is the part of the tokens' choices that fell on expert e in the batch before, over all layers of the pool;
    ``P_e`` the mean of its scores now, each token's scores summing to one. Padding counts nowhere.
    """

    def __init__(self, tuner: Any, coefficient: float, adapter: str = "default") -> None:
        """
        Args:
            tuner: PEFT's model of the tuner ``unipool``.
        """
        self.coefficient, self.adapter = coefficient, adapter
        self.pools: dict[str, list[Any]] = {}
        """The layers of each pool."""
        for layer in tuner.layers:
            self.pools.setdefault(tuner.pool_of(layer, adapter), []).append(layer)
        self.loads: dict[str, Any] = {}
        """Pool -> ``f`` (experts,) of the batch before."""
        self._mask: Any = None

    def reads(self, batch: Mapping[str, Any]) -> None:
        """Remembers the padding."""
        self._mask = batch["attention_mask"]

    def penalty(self) -> Any:
        """The loss, or None at the first batch; remembers the loads of this one."""
        before, self.loads = self.loads, {}
        total: Any = None
        for name, layers in self.pools.items():
            seen = [layer.routed.pop(self.adapter) for layer in layers if self.adapter in layer.routed]
            if not seen:
                continue
            taken = layers[0].settings[self.adapter].k
            self.loads[name] = sum(self._mean(picked.float()) for _, picked in seen) / (len(seen) * taken)
            if name in before:
                scores = sum(self._mean(probabilities) for probabilities, _ in seen) / len(seen)
                part = scores.shape[0] * (before[name] * scores).sum()
                total = part if total is None else total + part
        return None if total is None else self.coefficient * total / len(self.pools)

    def state(self) -> dict[str, Any]:
        """The loads."""
        return {"loads": dict(self.loads)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes them up."""
        self.loads = {name: load.to(self._device(name)) for name, load in state["loads"].items()}

    def _device(self, name: str) -> Any:
        return self.pools[name][0].unipool_router[self.adapter].device

    def _mean(self, values: Any) -> Any:
        """Over the tokens that are no padding: (rows, tokens, experts) -> (experts,)."""
        if self._mask is None or self._mask.shape != values.shape[:-1]:
            return values.flatten(0, -2).mean(0)
        mask = self._mask.to(values.dtype)
        return (values * mask.unsqueeze(-1)).sum((0, 1)) / mask.sum()
