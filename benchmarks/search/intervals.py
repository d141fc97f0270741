"""How often what is measured falls into the 80 % intervals of the program's forecasts, and how wide they are.

    python benchmarks/search/intervals.py [--tasks concept ...] [--sequences 200]

Trials are drawn at random from the recorded trainings of a task. After so many of them the next is forecast by the code
that a study runs, from the base's files, its recorded evaluation and the trials before. Processor seconds of the
records are taken for seconds of the clock. ``lengths.json`` has the tokens of each task's training rows and of their
answers.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from table import TASKS, Record, Table, load
from world import LOOK_ROWS, World

from tunewright.domain.job import Rungs
from tunewright.domain.outcome import JobResult, Measurement
from tunewright.domain.proposal import Range
from tunewright.domain.recipe import Recipe
from tunewright.tools.models.estimate import Estimator, Speed, Trained
from tunewright.tools.models.facts import facts

HERE = Path(__file__).parent
FINISHED = (0, 1, 3, 8, 16, 32)
LOOKS = (0.25, 1.0)
"""Passes after which the trials with rungs are measured."""
START_S = 0.2
"""Processor time of an evaluation before its first batch; the table has it of trainings alone."""


@dataclass(frozen=True)
class Trial:
    """A recorded training as a study sees it."""

    recipe: Recipe
    record: Record
    rungs: tuple[float, ...]

    @cached_property
    def trained(self) -> Trained:
        """What the forecasts of later ones learn from."""
        last, eval_s = self.record.rungs[-1], self.looked_s + self.record.rungs[-1].measure_s
        measurement = Measurement(value=last.score, rows=len(last.items), step=last.step, seconds=last.measure_s)
        result = JobResult(
            status="done", measurement=measurement, steps=last.step, total_steps=last.step, tokens=last.tokens,
            train_s=last.train_s, eval_s=eval_s, setup_s=self.record.setup_s, peak_memory_gib=self.record.process_gib,
            trainable_parameters=self.record.trainable,
        )  # fmt: skip
        return Trained(self.recipe, result, self.record.setup_s + last.train_s + eval_s)

    @property
    def looked_s(self) -> float:
        """Of the measurements before the end, of the rows that are scored at a rung."""
        looks = [one for one in self.record.rungs[:-1] if one.epochs in self.rungs]
        return sum(one.measure_s * LOOK_ROWS / len(one.items) for one in looks)


@dataclass(frozen=True)
class Hit:
    """A forecast against what came."""

    forecast: Range
    measured: float

    @property
    def inside(self) -> bool:
        return self.forecast.low <= self.measured <= self.forecast.high

    @property
    def width(self) -> float:
        return (self.forecast.high - self.forecast.low) / self.forecast.expected


class Forecasts:
    """The program's forecasts for one task."""

    def __init__(self, table: Table) -> None:
        self.world = World(table, limited=False)
        base = table.about["base"]
        lengths = json.loads((HERE / "lengths.json").read_text(encoding="utf-8"))[table.task]
        self.estimator = Estimator(
            facts(HERE / "base"), lengths["rows"], train_rows=table.rows["train"], val_rows=table.rows["val"],
            answers=lengths["answers"],
        )  # fmt: skip
        measurement = Measurement(value=base["score"], rows=table.rows["val"], step=0, seconds=base["measure_s"])
        self.base = JobResult(
            status="done", measurement=measurement, tokens=base["tokens"], eval_s=base["measure_s"],
            forward_tokens_per_s=base["forward_tokens_per_s"], peak_memory_gib=base["process_gib"],
        )  # fmt: skip

    @cached_property
    def recorded(self) -> list[tuple[Recipe, Record]]:
        """Every training that is there and did not fail."""
        found = []
        for recipe in self.world.every():
            for seed in self.world.table.seeds:
                try:
                    record = self.world.table.lookup(self.world.settings(recipe), seed)
                except KeyError:
                    continue  # not made yet
                if record.fault is None:
                    found.append((recipe, record))
        return found

    def speed(self, trials: Sequence[Trial]) -> Speed:
        """What a study has measured after these trials."""
        return Speed(self.base, self.base.eval_s + START_S, tuple(trial.trained for trial in trials))

    def hits(self, seed: int, finished: Sequence[int] = FINISHED) -> dict[int, tuple[Hit, Hit]]:
        """Trials finished -> time and memory of the next, in one sequence; every second sequence has rungs."""
        rungs = LOOKS if seed % 2 else ()
        drawn = random.Random(seed).sample(self.recorded, max(finished) + 1)
        trials = [Trial(recipe, record, rungs) for recipe, record in drawn]
        found = {}
        for count in finished:
            following, told = trials[count], self.speed(trials[:count])
            forecast = self.estimator.forecast(following.recipe, told, Rungs(epochs=rungs, rows=LOOK_ROWS))
            trained = following.trained
            memory = Hit(forecast.memory_gib, trained.result.peak_memory_gib)
            found[count] = Hit(forecast.seconds, trained.wall_s), memory
        return found


def coverage(table: Table, sequences: int) -> dict[int, list[tuple[Hit, Hit]]]:
    """Trials finished -> what random sequences of them show; nothing where too few trainings were made."""
    forecasts = Forecasts(table)
    found: dict[int, list[tuple[Hit, Hit]]] = {count: [] for count in FINISHED}
    for seed in range(sequences if len(forecasts.recorded) > max(FINISHED) else 0):
        for count, hits in forecasts.hits(seed).items():
            found[count].append(hits)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--sequences", type=int, default=200)
    given = parser.parse_args()
    print(f"{'task':<10}{'finished':>8}" + "".join(f"{name:>10}{'width':>8}" for name in ("time", "memory")))
    for task in given.tasks:
        try:
            found = coverage(load(task), given.sequences)
        except FileNotFoundError:
            continue  # not made yet
        if not found[0]:
            continue
        learned = [hits for count, every in found.items() if count for hits in every]
        for name, every in (*((str(count), hits) for count, hits in found.items()), ("1 to 32", learned)):
            print(f"{task:<10}{name:>8}" + "".join(_said([hits[at] for hits in every]) for at in (0, 1)))


def _said(hits: Sequence[Hit]) -> str:
    inside, width = (statistics.fmean(one.inside for one in hits), statistics.median(one.width for one in hits))
    return f"{100 * inside:>8.0f} %{width:>8.2f}"


if __name__ == "__main__":
    main()
