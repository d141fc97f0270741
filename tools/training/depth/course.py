"""Which layers and which client each step of a stage belongs to. No torch: forecasts ask it too."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tunewright.domain.depth import Depth
from tunewright.domain.errors import UsageError


@dataclass(frozen=True)
class Turn:
    """Steps that one client takes in a row, at one depth."""

    first: int
    """Step of the stage, from 0."""
    steps: int
    phase: int
    """Number of the depth."""
    round: int
    """Within the depth."""
    client: int
    opens: bool
    """Whether a round begins with it."""
    closes: bool
    """Whether a round ends with it."""
    last_round: bool
    """Whether its round is the last of the depth."""
    round_first: int
    """First step of its round."""
    round_steps: int
    """Of all clients."""

    @property
    def end(self) -> int:
        """The step after its last."""
        return self.first + self.steps

    @property
    def ends_phase(self) -> bool:
        """Whether the depth is done with it."""
        return self.closes and self.last_round


@dataclass(frozen=True)
class Course:
    """The turns of a stage, in order."""

    depths: tuple[int, ...]
    """Layers of each depth, rising."""
    turns: tuple[Turn, ...]

    @property
    def steps(self) -> int:
        """Of the stage."""
        return self.turns[-1].end

    def at(self, step: int) -> Turn:
        """The turn that a step belongs to."""
        return self.turns[bisect_right(self.turns, step, key=lambda turn: turn.first) - 1]

    def due(self, step: int) -> float:
        """The step of the stage whose learning rate a step has.

        Clients that train one after the other here would train side by side elsewhere: each goes through its round's
        stretch of the schedule. With one client it is the step itself.
        """
        if step >= self.steps:
            return float(step)
        turn = self.at(step)
        return turn.round_first + (step - turn.first) * (turn.round_steps / turn.steps)


def course(depth: Depth, layers: int, steps: int) -> Course:
    """The course of a stage of so many optimiser steps.

    Raises:
        UsageError: there are too few steps for the depths and clients, or too few layers.
    """
    found = depths(depth, layers)
    ends = [round(total * steps) for total in accumulate(shares(depth, len(found)))]
    turns: list[Turn] = []
    for phase, (first, end) in enumerate(pairwise([0, *ends])):
        if end - first < depth.clients:
            raise UsageError(
                f"{steps} steps are too few for {len(found)} depths and {depth.clients} clients: each client has to "
                "train at each depth",
                "give the stage more steps, or take fewer stages or clients",
            )
        turns += _phase(depth, phase, first, end - first)
    return Course(found, tuple(turns))


def depths(depth: Depth, layers: int) -> tuple[int, ...]:
    """Layers of each depth, rising, the last of them all: DevFT's doubling, or a geometric series from a start.

    Raises:
        UsageError: the first depth is no shallower than the model.
    """
    if depth.stages == 1:
        return (layers,)
    start = float(depth.start_layers or layers / 2 ** (depth.stages - 1))
    if start >= layers:
        raise UsageError(
            f"a first depth of {depth.start_layers} layers is no shallower than the model, which has {layers}",
            f"give a start_layers of at most {layers - 1}, or leave it out",
        )
    factor = (layers / start) ** (1 / (depth.stages - 1))
    exact = [start * factor**stage for stage in range(depth.stages - 1)]
    return tuple(sorted({*(min(layers, max(1, round(one))) for one in exact), layers}))


def shares(depth: Depth, count: int) -> tuple[float, ...]:
    """Shares of the steps of so many depths."""
    if count == 1:
        return (1.0,)
    full = 1 / count if depth.full_share is None else depth.full_share
    return (*[(1 - full) / (count - 1)] * (count - 1), full)


def _phase(depth: Depth, phase: int, first: int, steps: int) -> Iterator[Turn]:
    """The turns of a depth: rounds as equal as they go, and in each round clients likewise."""
    rounds = max(1, steps // (depth.clients * depth.local_steps)) if depth.clients > 1 else 1
    for number, round_steps in enumerate(_even(steps, rounds)):
        at = first
        for client, own in enumerate(_even(round_steps, depth.clients)):
            closes = client + 1 == depth.clients
            yield Turn(
                first=at,
                steps=own,
                phase=phase,
                round=number,
                client=client,
                opens=client == 0,
                closes=closes,
                last_round=number + 1 == rounds,
                round_first=first,
                round_steps=round_steps,
            )
            at += own
        first = at


def _even(total: int, parts: int) -> Sequence[int]:
    """``total`` in so many parts that differ by one at most, the larger ones first."""
    small, more = divmod(total, parts)
    return [small + (part < more) for part in range(parts)]
