"""What happens around the steps of a stage that deepens, or that clients take: layers, adapters and turns.

A stage stays one stage, with one optimiser over the adapter of the whole model. Between two steps the model's list of
layers is replaced by the layers that stand for their groups. What these train are weights of the whole model, so
checkpoints, measurements and what is saved are the whole model's, and nothing else knows that it was shallow.

From DevFT, arXiv 2508.00041: groups, fusion and transfer, anew at each depth. Ours: the optimiser's moments begin anew
at each depth and with each client, and the learning rate follows one schedule over the stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tunewright.domain.recipe import Stage
from tunewright.tools.training.batch import StageData
from tunewright.tools.training.depth.clients import in_turns, parts
from tunewright.tools.training.depth.course import Course, Turn, course
from tunewright.tools.training.depth.federation import Federation
from tunewright.tools.training.depth.fusion import fuse_adapters, representative, transfer
from tunewright.tools.training.depth.grouping import Groups, groups_of
from tunewright.tools.training.depth.layers import Layers
from tunewright.tools.training.loop import Loop
from tunewright.tools.training.recompute import flag
from tunewright.tools.training.sources import seeded


@dataclass(frozen=True)
class Plan:
    """What is known of the turns before an adapter is on the model."""

    course: Course
    rows: tuple[int, ...]
    """Of each client."""
    seed: int


def planned(model: Any, data: StageData, stage: Stage, index: int, seed: int) -> tuple[StageData, Plan]:
    """The stage's data in the order of its turns, and the turns.

    Args:
        model: as the stage finds it.
        index: the stage's number.

    Raises:
        UsageError: the model's layers are not known, or are too few, or the steps are.
        FaultError: ``config``: there are more clients than rows.
    """
    layers = len(Layers(model).all) if stage.depth.stages > 1 else 1
    way = course(stage.depth, layers, data.steps)
    split = parts(data, stage.depth, seed, index)
    ordered = in_turns(data, way, split, seed, index)
    return ordered, Plan(way, tuple(len(own) for own in split), seeded(seed, index, "depth"))


class Deepening(Loop):
    """The turns of a stage.

    Args:
        model: with the stage's adapter on it.
        note: says a line to the user.

    Raises:
        UsageError: the layers cannot stand for each other, or the average does not fit what is trained.
    """

    def __init__(self, model: Any, stage: Stage, plan: Plan, note: Callable[[str], None]) -> None:
        self.depth, self.plan, self.note = stage.depth, plan, note
        self.layers = Layers(model) if self.depth.stages > 1 else None
        if self.layers is not None:
            self.layers.check()
        self._all = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.federation: Federation | None = None
        if self.depth.clients > 1:
            self.federation = Federation(plan.rows, self.depth.average, list(self._all))
            note(f"{len(plan.rows)} clients have {min(plan.rows)} to {max(plan.rows)} of {sum(plan.rows)} rows")
        self.groups: Groups = ()
        self.phase = -1
        self._every = stage.memory.checkpoint_every
        self._installed = False
        self._turn: Turn | None = None

    def pace(self, schedule: Any) -> None:
        """Clients that would train side by side have the same learning rates."""
        if self.federation is not None:
            schedule.lr_lambdas = [self._paced(one) for one in schedule.lr_lambdas]

    def before_step(self, step: int) -> None:
        """Makes the model as deep as the step wants it, and the weights its client's."""
        turn = self._turn = self.plan.course.at(step)
        if self.layers is not None and turn.phase != self.phase:
            self._deepen(self.layers, turn.phase)
        elif self.layers is not None and not self._installed:
            self._install(self.layers)
        if self.federation is not None and step == turn.first:
            self.federation.enter(self.trained, turn)

    def after_step(self, step: int, optimiser: Any) -> None:
        """Where a turn ends: averages, and gives each group what was learned for it."""
        turn = self._turn
        if turn is None or step + 1 < turn.end:
            return
        if self.federation is not None:
            self.federation.leave(self.trained, turn)
        if turn.ends_phase:
            self._transfer()
        if turn.ends_phase or self.federation is not None:
            optimiser.state.clear()
        if self.federation is not None and turn.end == self.plan.course.steps:
            self.note(self._sent(self.federation))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within the block the model is what would be saved now: all layers, each group with what was learned for it,
        by the server where there are clients."""
        with ExitStack() as stack:
            if self.federation is not None:
                stack.enter_context(self.federation.served(self.trained))
            self._transfer()
            if self.layers is not None:
                stack.enter_context(self.layers.whole())
            yield

    def facts(self) -> Mapping[str, float]:
        """``depth`` in layers; ``round`` of the depth and ``client``, from 0, and ``upload_bytes`` of all so far."""
        found: dict[str, float] = {}
        if self.layers is not None:
            found["depth"] = float(len(self.groups))
        if self.federation is not None and self._turn is not None:
            found |= {"round": float(self._turn.round), "client": float(self._turn.client)}
            found["upload_bytes"] = float(self.federation.uploaded)
        return found

    def state(self) -> dict[str, Any]:
        """Within ``whole``: the groups, and what the clients and the server hold."""
        federated = self.federation.state() if self.federation is not None else {}
        return {"phase": self.phase, "groups": [list(group) for group in self.groups], "federation": federated}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave, the weights being the whole model's."""
        self.phase = int(state["phase"])
        self.groups = tuple(tuple(group) for group in state["groups"])
        if self.federation is not None:
            self.federation.restore(state["federation"], self.trained)

    @property
    def trained(self) -> dict[str, Any]:
        """What is trained at this depth: weights of the whole model by name."""
        if self.layers is None:
            return self._all
        adapters = self.layers.adapters
        return {f"{group[0]}.{name}": weight for group in self.groups for name, weight in adapters[group[0]].items()}

    def _deepen(self, layers: Layers, phase: int) -> None:
        count = self.plan.course.depths[phase]
        self.groups = groups_of(layers.all, self.depth, count, seeded(self.plan.seed, phase))
        self.phase = phase
        for group in self.groups:
            fuse_adapters(layers.adapters, group, self.depth.beta)
        self._install(layers)
        shown = "" if count == len(layers.all) else f": {', '.join(map(_says, self.groups))}"
        self.note(f"{count} of {len(layers.all)} layers are trained{shown}")

    def _install(self, layers: Layers) -> None:
        chosen = [representative(layers.all, group, self.depth.beta) for group in self.groups]
        flag(chosen, self._every)
        layers.put(chosen)
        self._installed = True

    def _transfer(self) -> None:
        if self.layers is None:
            return
        for group in self.groups:
            transfer(self.layers.adapters, group)

    def _paced(self, rate: Callable[[float], float]) -> Callable[[int], float]:
        return lambda step: rate(self.plan.course.due(step))

    def _sent(self, federation: Federation) -> str:
        rounds = sum(turn.closes for turn in self.plan.course.turns)
        return (
            f"{len(self.plan.rows)} clients sent {federation.uploaded / 1e6:,.2f} MB to the server in {rounds} rounds"
        )


def _says(group: tuple[int, ...]) -> str:
    """Such as ``0-2+5``."""
    runs: list[list[int]] = []
    for layer in group:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return "+".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
