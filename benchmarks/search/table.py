"""Reads the recorded trainings of a task. Needs numpy and nothing else.

    table = load("noun")
    table.lookup({"adapter": "full", "lr": 3, "batch": 8, "mix": "clean", "objective": "sft", "epochs": 2}, seed=1)

A recipe is a point of ``Table.axes``; any combination has been trained, with every seed of ``Table.seeds``. One
training of four epochs stands for the recipes of one, two and four: with a constant learning rate and no warm-up the
shorter ones are its beginning (``make_table.py --check`` looks whether that holds to the bit).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

FOLDER = Path(__file__).parent / "tables"
TASKS = ("concept", "noun", "field", "verse")
FAULTS = ("", "config", "data", "memory", "infra", "budget")
"""By number in ``fault_kind``; the first is none."""
RUNG_ARRAYS = {"score": "f8", "tokens": "i4", "train_s": "f4", "measure_s": "f4"}
"""Name -> type of what is kept of each rung. ``bits`` is beside them."""
ARRAYS = {
    "setup_s": "f4",
    "process_s": "f4",
    "memory_gib": "f4",
    "process_gib": "f4",
    "trainable": "i4",
    "adapter_bytes": "i4",
    "fault_kind": "u1",
    "fault_step": "i4",
    "done": "?",
}
"""Name -> type of what is kept of each training."""

Settings = Mapping[str, Any]
Items = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Rung:
    """A training as it was measured on all rows of validation."""

    epochs: float
    step: int
    score: float
    """Share of the items that were right."""
    items: Items = field(repr=False)
    """Whether each was, in the order of the rows."""
    tokens: int
    """Trained on until then."""
    train_s: float
    """Processor time of the steps until then, without set-up and measurements."""
    measure_s: float
    """Processor time of this measurement."""


@dataclass(frozen=True)
class Fault:
    """How a training failed."""

    kind: str
    step: int
    message: str


@dataclass(frozen=True)
class Record:
    """One training of a recipe."""

    settings: Settings
    seed: int
    steps: int
    """Of the whole training, whether it failed or not."""
    rungs: tuple[Rung, ...]
    """Those reached before the end or the fault; the last of a training that did not fail is its end."""
    setup_s: float
    """Processor time from the start of the process to the first step."""
    failed_s: float
    """Processor time of a training that failed, in all; else 0."""
    memory_gib: float
    """The most that training took beyond what the process had before it: weights, optimiser, what a step needs.
    Measurements are not in it."""
    process_gib: float
    """The most the process had in all, libraries and measurements included."""
    trainable: int
    """Parameters."""
    adapter_bytes: int
    """0 if it failed."""
    fault: Fault | None

    @property
    def score(self) -> float | None:
        """At the end; None if it failed."""
        return None if self.fault else self.rungs[-1].score

    @property
    def seconds(self) -> float:
        """Processor time of set-up, steps and the measurements at all rungs."""
        return self.failed_s or self.setup_s + self.rungs[-1].train_s + sum(rung.measure_s for rung in self.rungs)


@dataclass(frozen=True)
class Base:
    """The untouched base on the task."""

    score: float
    items: Items = field(repr=False)
    forward_tokens_per_s: float
    measure_s: float


@dataclass(frozen=True)
class Table:
    """The trainings of one task."""

    task: str
    about: dict[str, Any] = field(repr=False)
    arrays: Mapping[str, Any] = field(repr=False)

    @property
    def use(self) -> Literal["tuning", "report"]:
        """Whether search methods are tuned on the task, or their results reported."""
        return "tuning" if self.about["use"] == "tuning" else "report"

    @property
    def sister(self) -> str | None:
        """The task that is like it."""
        found: str | None = self.about["sister"]
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.about["labels"])

    @cached_property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """Setting -> its values. ``lr`` is the number of a learning rate, which ``lrs`` says for each adapter."""
        return {name: tuple(values) for name, values in self.about["axes"].items()}

    @property
    def adapters(self) -> dict[str, dict[str, Any]]:
        """Adapter -> its kind and settings."""
        found: dict[str, dict[str, Any]] = self.about["adapters"]
        return found

    @property
    def mixes(self) -> dict[str, tuple[float, ...]]:
        """Mix -> the weights of the sources."""
        return {name: tuple(weights) for name, weights in self.about["mixes"].items()}

    @property
    def objectives(self) -> dict[str, dict[str, Any]]:
        """Objective -> its kind and settings."""
        found: dict[str, dict[str, Any]] = self.about["objectives"]
        return found

    def lrs(self, adapter: str) -> tuple[float, ...]:
        """From the lowest on, each as often times the one before."""
        return tuple(self.about["lrs"][adapter])

    def nearest_lr(self, adapter: str, lr: float) -> int:
        """The number of the learning rate nearest to ``lr`` on a logarithmic scale."""
        rates = self.about["lrs"][adapter]
        return min(range(len(rates)), key=lambda at: abs(math.log(rates[at] / lr)))

    @cached_property
    def epochs(self) -> tuple[float, ...]:
        """Of the rungs."""
        return tuple(self.about["rungs"])

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.about["seeds"])

    @cached_property
    def default(self) -> Settings:
        """The middling recipe that a study begins with; ``same`` are trainings of it."""
        return {**self.about["default"], "epochs": max(self.axes["epochs"])}

    @property
    def same_seeds(self) -> tuple[int, ...]:
        """Seeds that the default recipe has been trained with beside ``seeds``."""
        return tuple(self.about["same_seeds"])

    @property
    def rows(self) -> dict[str, int]:
        """Split -> rows."""
        found: dict[str, int] = self.about["rows"]
        return found

    @property
    def memory_limit_gib(self) -> float:
        """A limit on ``Record.memory_gib`` that about one in eight trainings exceeds; they were made without it."""
        return float(self.about["memory_limit_gib"])

    @property
    def trainings(self) -> int:
        """How many there are, those of the default with further seeds included."""
        return int(self.about["trainings"])

    @property
    def whole(self) -> bool:
        """Whether every training is there."""
        return bool(self.trainings == self.arrays["done"].size + self.arrays["same_done"].size)

    @cached_property
    def base(self) -> Base:
        """The untouched base."""
        said = self.about["base"]
        return Base(
            said["score"], self._items(self.arrays["base_bits"]), said["forward_tokens_per_s"], said["measure_s"]
        )

    def lookup(self, settings: Settings, seed: int) -> Record:
        """The training of a recipe, with a seed of ``seeds``, or of the default with one of ``same_seeds``.

        Raises:
            KeyError: it is not in the table, or not yet.
        """
        unknown = [name for name, values in self.axes.items() if settings.get(name) not in values]
        if unknown:
            raise KeyError(
                f"no such recipe: {unknown[0]} is {settings.get(unknown[0])!r}, not one of {self.axes[unknown[0]]}"
            )
        if seed in self.seeds:
            return self._record("", (self.seeds.index(seed), self._place(settings)), settings, seed)
        if seed in self.same_seeds and {**self.default, "epochs": settings["epochs"]} == dict(settings):
            return self._record("same_", (self.same_seeds.index(seed),), settings, seed)
        raise KeyError(f"no training with seed {seed}: there are {self.seeds}, and for the default {self.same_seeds}")

    def same(self, epochs: float | None = None) -> list[Record]:
        """Trainings of the default recipe with a seed each."""
        settings = self.default if epochs is None else {**self.default, "epochs": epochs}
        return [self.lookup(settings, seed) for seed in self.same_seeds]

    def _place(self, settings: Settings) -> int:
        trained = [name for name in self.axes if name != "epochs"]
        shape = [len(self.axes[name]) for name in trained]
        return int(np.ravel_multi_index([self.axes[name].index(settings[name]) for name in trained], shape))

    def _record(self, prefix: str, at: tuple[int, ...], settings: Settings, seed: int) -> Record:
        of = {name: self.arrays[prefix + name][at] for name in (*RUNG_ARRAYS, *ARRAYS, "bits")}
        if not of["done"]:
            raise KeyError(f"{dict(settings)} with seed {seed} has not been trained yet")
        per_epoch = self.rows["train"] // settings["batch"]
        steps = round(per_epoch * settings["epochs"])
        kind, step = FAULTS[of["fault_kind"]], int(of["fault_step"])
        failed = bool(kind) and step <= steps
        rungs = tuple(
            Rung(
                epochs,
                round(per_epoch * epochs),
                float(of["score"][number]),
                self._items(of["bits"][number]),
                int(of["tokens"][number]),
                float(of["train_s"][number]),
                float(of["measure_s"][number]),
            )
            for number, epochs in enumerate(self.epochs)
            if epochs <= settings["epochs"] and not math.isnan(of["score"][number])
        )
        return Record(
            settings=dict(settings),
            seed=seed,
            steps=steps,
            rungs=rungs,
            setup_s=float(of["setup_s"]),
            failed_s=float(of["process_s"]) if failed else 0.0,
            memory_gib=float(of["memory_gib"]),
            process_gib=float(of["process_gib"]),
            trainable=int(of["trainable"]),
            adapter_bytes=0 if failed else int(of["adapter_bytes"]),
            fault=Fault(kind, step, self._message(prefix, at)) if failed else None,
        )

    def _items(self, bits: Any) -> Items:
        return np.unpackbits(bits, count=self.rows["val"]).astype(np.bool_)

    def _message(self, prefix: str, at: Sequence[int]) -> str:
        return str(self.about["messages"][prefix + ",".join(map(str, at))])


def load(task: str) -> Table:
    """The table of a task.

    Raises:
        FileNotFoundError: it has not been made.
    """
    with np.load(FOLDER / f"{task}.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    about = json.loads(arrays.pop("about").tobytes().decode())
    return Table(task, about, arrays)
