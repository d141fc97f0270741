"""The recorded trainings of a task as something that can be searched: a space, and what a recipe of it would do."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from table import Record, Settings, Table

from tunewright.domain.frozen import Json
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Condition, Dimension, Float, Space

STAGE = "stages.0"
LOOK_ROWS = 96
"""Items that are scored at a rung; the end has all."""
_EVERY: dict[str, list[Recipe]] = {}
"""What a table is about -> its recipes."""
_OWN = ("rank", "alpha", "refresh_phases")


@dataclass(frozen=True)
class Look:
    """A measurement at a rung or at the end."""

    epochs: float
    score: float
    rows: int
    high: float
    """Upper end of the score's interval."""
    low: float
    spent_s: float
    """By the first attempt until then, the measurements before it and this one among them."""


@dataclass(frozen=True)
class Play:
    """What one training would do."""

    looks: tuple[Look, ...]
    """At the rungs asked for and at the end; empty if it fails."""
    fault: str
    """``config``, ``memory`` or empty."""
    failed_s: float
    setup_s: float
    memory_gib: float
    record: Record

    @property
    def cost_s(self) -> float:
        return self.looks[-1].spent_s if self.looks else self.failed_s


class World:
    """One task.

    Args:
        table: its trainings.
        limited: whether a training may not exceed the task's memory limit.
        first: the recipe that a study begins with; the table's default if it is not given.
    """

    def __init__(self, table: Table, *, limited: bool = True, first: Settings | None = None) -> None:
        self.table = table
        self.limit_gib = table.memory_limit_gib if limited else math.inf
        self.space = _space(table, first or table.default)
        self.settings = lru_cache(10_000)(self._settings)
        self.truth = lru_cache(10_000)(self._truth)

    @cached_property
    def default_s(self) -> float:
        """Seconds of a training of the table's default recipe."""
        records = [self.table.lookup(self.table.default, seed) for seed in self.table.seeds]
        ends = [record.rungs[-1] for record in records]
        costs = [one.setup_s + end.train_s + end.measure_s for one, end in zip(records, ends, strict=True)]
        return sum(costs) / len(costs)

    def play(self, recipe: Recipe, seed: int, rungs: tuple[float, ...] = ()) -> Play:
        """The recorded training of the recipe's nearest learning rate.

        Args:
            seed: one of the table's.
            rungs: passes over the data after which it is measured, beside the end.
        """
        record = self.table.lookup(self.settings(recipe), seed)
        memory = record.memory_gib
        if memory > self.limit_gib:
            return Play((), "memory", record.setup_s + _one_step_s(record), record.setup_s, memory, record)
        if record.fault is not None:
            return Play((), record.fault.kind, record.failed_s, record.setup_s, memory, record)
        looks, measuring = [], 0.0
        for rung in record.rungs:
            last = rung is record.rungs[-1]
            if not last and rung.epochs not in rungs:
                continue
            items = rung.items if last else rung.items[:LOOK_ROWS]
            measuring += rung.measure_s * len(items) / len(rung.items)
            score, half = (
                float(items.mean()),
                1.96 * math.sqrt(max(items.mean() * (1 - items.mean()), 0.01) / len(items)),
            )
            spent = record.setup_s + rung.train_s + measuring
            looks.append(Look(rung.epochs, score, len(items), score + half, score - half, spent))
        return Play(tuple(looks), "", 0.0, record.setup_s, memory, record)

    def _truth(self, recipe: Recipe) -> float:
        """The mean score over all seeds; the base model's where one of them cannot be trained."""
        plays = [self.play(recipe, seed) for seed in self.table.seeds]
        return sum(p.looks[-1].score if p.looks else self.table.base.score for p in plays) / len(plays)

    def _settings(self, recipe: Recipe) -> dict[str, Any]:
        stage = recipe.stages[0]
        adapter = next(name for name, own in self.table.adapters.items() if _is(own, stage.adapter.model_dump()))
        weights = tuple(stage.data.weights)
        return {
            "adapter": adapter,
            "lr": self.table.nearest_lr(adapter, stage.optimisation.lr),
            "batch": stage.optimisation.batch_size,
            "mix": next(name for name, own in self.table.mixes.items() if own == weights),
            "objective": next(
                name for name, loss in _losses(self.table).items() if loss == stage.objective.settings["loss_on"]
            ),
            "epochs": int(stage.optimisation.epochs or 0),
        }

    def first_guesses(self, count: int) -> list[Settings]:
        """Recipes that studies begin with: drawn from the middle third by worth, as a guess is neither good nor bad, of
        those that run with every seed."""
        ran = [recipe for recipe in self.every() if not any(self.play(recipe, s).fault for s in self.table.seeds)]
        ranked = sorted(ran, key=lambda recipe: (self.truth(recipe), str(self.settings(recipe))))
        third = len(ranked) // 3
        chance = random.Random(self.table.task)
        return [self.settings(recipe) for recipe in chance.choices(ranked[third:-third], k=count)]

    def every(self) -> list[Recipe]:
        """Each recipe of the table once; built once for all worlds of a table, as no world's own default is in them."""
        from tunewright.search.draw import every

        about = json.dumps([self.table.about[name] for name in ("axes", "adapters", "mixes", "objectives", "lrs")])
        if about not in _EVERY:
            _EVERY[about] = [self.space.build(point) for point in every(_stepped(self.space, self.table))]
        return list(_EVERY[about])


def _space(table: Table, begin: Settings) -> Space:
    kinds = list(dict.fromkeys(own["kind"] for own in table.adapters.values()))
    default = table.adapters[begin["adapter"]]
    found: list[Dimension] = [
        Choice(name="adapter", path=f"{STAGE}.adapter.kind", options=tuple(kinds), default=default["kind"])
    ]
    for kind in kinds:
        when = (Condition(name="adapter", values=(kind,)),)
        cells = {name: own for name, own in table.adapters.items() if own["kind"] == kind}
        for setting in _OWN:
            values = tuple(dict.fromkeys(own[setting] for own in cells.values() if setting in own))
            if values:
                first = default[setting] if kind == default["kind"] else values[0]
                path = f"{STAGE}.adapter.{setting}"
                found.append(Choice(name=f"{setting}.{kind}", path=path, options=values, default=first, when=when))
        lrs = table.lrs(next(iter(cells)))
        step = math.sqrt(lrs[1] / lrs[0])
        # As much room around each recorded rate as there is between two, so that each is as likely by chance.
        found.append(
            Float(
                name=f"lr.{kind}",
                path=f"{STAGE}.optimisation.lr",
                low=lrs[0] / step,
                high=lrs[-1] * step,
                log=True,
                default=lrs[begin["lr"]],
                when=when,
            )
        )
    mixes, losses = table.mixes, _losses(table)
    found += [
        _choice("loss_on", f"{STAGE}.objective.loss_on", tuple(losses.values()), losses[begin["objective"]]),
        _choice("batch", f"{STAGE}.optimisation.batch_size", table.axes["batch"], begin["batch"]),
        _choice(
            "epochs",
            f"{STAGE}.optimisation.epochs",
            tuple(map(float, table.axes["epochs"])),
            float(begin["epochs"]),
        ),
        _choice("mix", f"{STAGE}.data.weights", tuple(mixes.values()), mixes[begin["mix"]]),
    ]
    stage = {
        "objective": {"kind": "sft"},
        "data": {},
        "adapter": {},
        "optimisation": {"schedule": "constant", "warmup_ratio": 0.0, "precision": "fp32"},
    }
    return Space(template={"seed": 0, "stages": [stage]}, dimensions=tuple(found))


def _choice(name: str, path: str, options: tuple[Json, ...], default: Json) -> Choice:
    return Choice(name=name, path=path, options=options, default=default)


def _losses(table: Table) -> dict[str, str]:
    """Objective -> which tokens its loss is over; all are supervised fine-tuning, whose own default is the first."""
    return {name: own.get("loss_on", "completion") for name, own in table.about["objectives"].items()}


def _stepped(space: Space, table: Table) -> Space:
    """The space with each learning rate a choice among the recorded ones."""
    return space.model_copy(
        update={"dimensions": tuple(_step(d, table) if isinstance(d, Float) else d for d in space.dimensions)}
    )


def _step(dimension: Float, table: Table) -> Choice:
    kind = dimension.name.removeprefix("lr.")
    cell = next(name for name, own in table.adapters.items() if own["kind"] == kind)
    own = dimension.model_dump(include={"name", "path", "default", "when"})
    return Choice.model_validate({**own, "options": table.lrs(cell)})


def _is(own: dict[str, Any], adapter: dict[str, Any]) -> bool:
    return all(adapter.get(name) == value for name, value in own.items())


def _one_step_s(record: Record) -> float:
    """What goes by until a training that needs too much is ended: its first step."""
    return record.rungs[0].train_s / max(1, record.rungs[0].step) if record.rungs else 0.0
