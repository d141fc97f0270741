"""What an objective does in a stage, with something around it: what choices that go on during training build on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.tools.training.learning import Batch, Learning


class Guided(Learning):
    """Does what the objective does. Subclasses override what differs, and give what must survive a stop in ``own``.

    Args:
        inner: the objective's, or another one around it.
    """

    def __init__(self, inner: Learning) -> None:
        super().__init__(inner.model, inner.settings, inner.begin)
        self.inner = inner
        self.zero_is_end, self.prompts_masked = inner.zero_is_end, inner.prompts_masked

    def own(self) -> dict[str, Any]:
        """What a checkpoint must hold of this one."""
        return {}

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``own`` gave."""

    def own_facts(self) -> Mapping[str, float]:
        """What there is to report of this one."""
        return {}

    def collate(self, places: Sequence[int]) -> Batch:
        """As the objective."""
        return self.inner.collate(places)

    def due(self, batch: Batch, step: int) -> Batch:
        """As the objective."""
        return self.inner.due(batch, step)

    def prepare(self, batch: Batch, step: int) -> Batch:
        """As the objective."""
        return self.inner.prepare(batch, step)

    def cut(self, batch: Batch, size: int | None) -> Iterator[Batch]:
        """As the objective."""
        return self.inner.cut(batch, size)

    def items(self, batch: Batch) -> float:
        """As the objective."""
        return self.inner.items(batch)

    def loss(self, batch: Batch) -> Any:
        """As the objective."""
        return self.inner.loss(batch)

    def tokens(self, batch: Batch) -> int:
        """As the objective."""
        return self.inner.tokens(batch)

    def facts(self) -> Mapping[str, float]:
        """Of both."""
        return {**self.inner.facts(), **self.own_facts()}

    def check(self, step: int) -> None:
        """As the objective."""
        self.inner.check(step)

    def modules(self) -> Mapping[str, Any]:
        """As the objective."""
        return self.inner.modules()

    def rate(self, step: int) -> float:
        """As the objective."""
        return self.inner.rate(step)

    def finish(self) -> None:
        """As the objective."""
        self.inner.finish()

    def save(self, folder: Path) -> None:
        """As the objective."""
        self.inner.save(folder)

    def state(self) -> dict[str, Any]:
        """Of both."""
        return {"objective": self.inner.state(), "own": self.own()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        self.inner.restore(state["objective"])
        self.take_up(state["own"])
