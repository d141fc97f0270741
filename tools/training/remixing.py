"""Training whose mix of sources changes after what its own steps have shown: the stage's side of ``mixes/aioli.py``.

Which rows a step has is not known before the part of the stage that it belongs to begins, and the data loader has
collated a batch ahead by then. So each step's rows are drawn when it is due, from the weights, the seed and the step
alone: what a checkpoint has to hold is the weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Json
from tunewright.tools.training.guided import Guided
from tunewright.tools.training.learning import Batch, Learning
from tunewright.tools.training.mixes.aioli import AioliConfig, followed, interactions, leaning, normalised
from tunewright.tools.training.rowloss import row_losses
from tunewright.tools.training.sources import Sources, seeded


@dataclass(frozen=True)
class Segment:
    """Some steps of a stage that have one mixture."""

    start: int
    length: int
    lean: int | None
    """Which of the sources it leans to; None for the rest of a round, which has the weights that its sweep found."""
    first: bool
    """Of its round."""


def segments(steps: int, count: int, settings: AioliConfig, seed: int) -> list[Segment]:
    """A stage in rounds, each a sweep over ``count`` sources in random order and the rest.

    Raises:
        UsageError: a round has no room for a step on each source and one after them.
    """
    length, parts = steps // settings.rounds, count * settings.sweeps
    if length < parts + 1:
        raise UsageError(
            f"{settings.rounds} rounds of a stage of {steps} steps have no room for a step on each of {count} sources",
            f"train for {settings.rounds * (parts + 1)} steps at least, or take fewer rounds",
        )
    each = max(1, min(settings.sweep_steps, length // (2 * parts)))
    found = []
    for number in range(settings.rounds):
        chance, start = random.Random(f"{seed} aioli {number}"), number * length
        order = [lean for _ in range(settings.sweeps) for lean in chance.sample(range(count), count)]
        found += [Segment(start + at * each, each, lean, at == 0) for at, lean in enumerate(order)]
        end = steps if number + 1 == settings.rounds else start + length
        rest = start + parts * each
        found.append(Segment(rest, end - rest, None, False))
    return found


class Remixing(Guided):
    """Draws each step's rows by the weights of its segment, and finds weights at the end of each sweep.

    Args:
        inner: what is trained.
        keep: writes facts of the mixture down.
    """

    def __init__(self, inner: Learning, settings: AioliConfig, keep: Callable[[dict[str, Json]], None]) -> None:
        super().__init__(inner)
        assert self.data.sources is not None
        self.chosen, self.keep = settings, keep
        self.sources: Sources = self.data.sources
        self.active = [j for j, weight in enumerate(self.data.weights) if weight > 0]
        """Of the sources, those that are mixed. Everything below is in their order."""
        self.segments = segments(self.begin.steps, len(self.active), settings, self.begin.seed)
        self.first = tuple(self.data.weights[j] for j in self.active)
        self.weights = self.first
        self.losses: list[float] = []
        self.drops: list[list[float]] = []
        self.mean: list[list[float]] = []
        self.rounds: list[dict[str, Json]] = []
        self._order: tuple[int, list[int]] = (-1, [])

    def due(self, batch: Batch, step: int) -> Batch:
        """The rows that are due, whatever was collated ahead."""
        at = max(number for number, one in enumerate(self.segments) if one.start <= step)
        segment, size = self.segments[at], self.data.batch_size
        if step == segment.start:
            self._reached(at)
        if self._order[0] != at:
            mixture = self._spread(self.weights if segment.lean is None else self._leaning(segment.lean))
            seed = seeded(self.begin.seed, "aioli", segment.start)
            self._order = at, self.sources.draw(mixture, seed=seed, total=segment.length * size)
        start = (step - segment.start) * size
        return self.inner.due(self.inner.collate(self._order[1][start : start + size]), step)

    def own(self) -> dict[str, Any]:
        """Weights, and what a sweep in the middle has found."""
        return {
            "weights": list(self.weights), "losses": self.losses, "drops": self.drops, "mean": self.mean,
            "rounds": self.rounds,
        }  # fmt: skip

    def take_up(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``own`` gave."""
        self.weights, self.losses = tuple(state["weights"]), list(state["losses"])
        self.drops, self.mean = [list(row) for row in state["drops"]], [list(row) for row in state["mean"]]
        self.rounds = list(state["rounds"])

    def own_facts(self) -> Mapping[str, float]:
        """``mix.NAME``: the weights found last."""
        return {f"mix.{self.sources.names[j]}": weight for j, weight in zip(self.active, self.weights, strict=True)}

    def _reached(self, at: int) -> None:
        """A segment begins: what the one before it did is measured, and after a sweep the weights are found."""
        segment, losses = self.segments[at], self._measure()
        if segment.first:
            self.drops = [[0.0] * len(self.active) for _ in self.active]
        else:
            lean = self.segments[at - 1].lean
            assert lean is not None, "before each part of a round but the first there is a part of its sweep"
            for i, (before, now) in enumerate(zip(self.losses, losses, strict=True)):
                self.drops[i][lean] += (before - now) / self.chosen.sweeps
        self.losses = losses
        if segment.lean is None:
            self._find(segment.start)

    def _find(self, step: int) -> None:
        found, ema = normalised(interactions(self.drops, self.chosen.lean)), self.chosen.ema
        if ema is not None:
            if self.mean:
                pairs = zip(self.mean, found, strict=True)
                found = [[ema * old + (1 - ema) * new for old, new in zip(*both, strict=True)] for both in pairs]
            self.mean = found
        self.weights = followed(self.weights if ema is None else self.first, found, self.chosen.eta)
        named: dict[str, Json] = dict(zip((self.sources.names[j] for j in self.active), self.weights, strict=True))
        self.rounds.append({"step": step, "weights": named})
        self.begin.note(f"from step {step} 'aioli' mixes " + ", ".join(f"{k} {v:.2f}" for k, v in named.items()))
        self.keep({"rounds": list(self.rounds)})

    def _measure(self) -> list[float]:
        """The mean loss of each active source's held-out rows, in nats a token."""
        names = [self.sources.names[j] for j in self.active]
        rows = [place for place in self.data.held if self.data.rows[place]["source"] in names]
        losses = row_losses(self.model, [self.data.encoded[place] for place in rows], self.begin.precision)
        of = {name: [] for name in names}  # type: dict[str, list[float]]
        for place, loss in zip(rows, losses, strict=True):
            of[self.data.rows[place]["source"]].append(loss)
        return [sum(of[name]) / len(of[name]) for name in names]

    def _leaning(self, lean: int) -> tuple[float, ...]:
        return leaning(len(self.active), self.chosen.lean)[lean]

    def _spread(self, weights: tuple[float, ...]) -> list[float]:
        """Weights of all sources, of those of the active ones."""
        found = [0.0] * len(self.sources.names)
        for j, weight in zip(self.active, weights, strict=True):
            found[j] = weight
        return found
