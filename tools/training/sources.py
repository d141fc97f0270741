"""The sources of a stage: which rows each has, and how an epoch, or any stretch of steps, is drawn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tunewright.domain.errors import DataError
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.mix import mix
from tunewright.tools.data.rows import Row


@dataclass(frozen=True)
class Sources:
    """What a stage draws its rows from."""

    names: tuple[str, ...]
    """In the order of weights."""
    rows: Sequence[Row]
    """Every row of the stage."""
    places: tuple[int, ...]
    """Indices of the rows that are trained on, without those of general data."""
    general: tuple[int, ...] = ()
    """Indices of the rows of general data."""
    replay: float = 0.0
    """Share of the rows drawn that is general data."""

    def of(self, name: str) -> tuple[int, ...]:
        """Indices of one source's rows."""
        return tuple(place for place in self.places if self.rows[place]["source"] == name)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each source."""
        return tuple(len(self.of(name)) for name in self.names)

    @property
    def proportional(self) -> tuple[float, ...]:
        """Weights in proportion to the sources' sizes."""
        sizes = self.sizes
        return tuple(size / sum(sizes) for size in sizes)

    def without(self, held: Collection[int]) -> Sources:
        """The same sources without some of their rows."""
        left = tuple(place for place in self.places if place not in held)
        return Sources(self.names, self.rows, left, self.general, self.replay)

    def draw(self, weights: Sequence[float], *, seed: int, total: int | None = None) -> list[int]:
        """Indices of ``total`` rows, in random order: general data by its share, the rest by weights.

        Args:
            weights: on the simplex, in the order of ``names``; empty means in proportion to sizes.
            seed: decides draw and order.
            total: an epoch, which is as many rows as are not general, if it is not said.

        Raises:
            DataError: a source without rows has a weight.
        """
        count = len(self.places) if total is None else total
        replayed = round(self.replay * count) if self.general else 0
        own = self._drawn(self.places, self.names, weights, seed, count - replayed)
        if not replayed:
            return own
        others = self._drawn(self.general, (), (), seeded(seed, "general"), replayed)
        return _interleaved(own, others)

    def laid_out(self, weights: Sequence[float], wanted: int, *parts: int) -> list[int]:
        """Indices of ``wanted`` rows, epoch after epoch, each with a seed of its own made of ``parts``."""
        order: list[int] = []
        epoch = 0
        while len(order) < wanted:
            order += self.draw(weights, seed=seeded(*parts, epoch))
            epoch += 1
        return order[:wanted]

    def _drawn(
        self, places: Sequence[int], names: Sequence[str], weights: Sequence[float], seed: int, total: int
    ) -> list[int]:
        at = {self.rows[place]["id"]: place for place in places}
        chosen = mix([self.rows[place] for place in places], names, weights, seed=seed, total=total)
        return [at[row["id"]] for row in chosen]


def seeded(*parts: object) -> int:
    """A seed of its own for each stage and epoch, without two recipes' seeds meeting by addition."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


def weights_of(given: Sequence[float], names: Sequence[str], task: TaskSpec) -> tuple[float, ...]:
    """The recipe's weights for the sources of a stage.

    Weights of all sources of the task, general data apart, are good for every stage: each takes those of the sources
    that it learns from.

    Raises:
        DataError: there are neither as many as the stage has sources nor as many as the task has, or all that fall to
            the stage are zero.
    """
    if not given or len(given) == len(names):
        return tuple(given)
    every = [source.name for source in task.sources if not source.general]
    if len(given) != len(every):
        raise DataError(f"{len(given)} data weights for {len(names)} sources", f"give one each for {', '.join(names)}")
    found = [dict(zip(every, given, strict=True))[name] for name in names]
    if not sum(found):
        raise DataError(f"no weight is on {', '.join(names)}, the sources of this stage", "give one of them a weight")
    return tuple(weight / sum(found) for weight in found)


def _interleaved(own: Sequence[int], others: Sequence[int]) -> list[int]:
    """Both as evenly as they go, each in its order: so no batch is all replay and no epoch's end is."""
    keyed = [
        ((place + 0.5) / len(part), which, one)
        for which, part in enumerate((own, others))
        for place, one in enumerate(part)
    ]
    return [one for _, _, one in sorted(keyed, key=lambda entry: entry[:2])]
