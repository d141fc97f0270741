"""What stop-loss, take-profit and sizing cost or gain a search, over the recorded trainings of ``benchmarks/search``.

    nice -n 10 python benchmarks/risk.py [--task concept] [--seeds 10] [--arms ...] [--style auto]

Every arm plays the same studies: the same first guesses, seeds and budgets. A trial that came to its end is judged
against the incumbent by a paired comparison over its items. An arm's height is what the winner is worth over all seeds,
from 0, the base model, to 1, the best recipe of the table.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent / "search"))

from bench import ground, world_of
from course import Course
from method import OUR_RUNGS
from study import Replay
from world import World

from tunewright.agents.risk import manager
from tunewright.agents.risk.manager import RiskManager
from tunewright.agents.risk.sizing import sized
from tunewright.agents.risk.style import change_of_style
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.outcome import Completed, JobResult, Measurement, Paused, Pruned, Verdict
from tunewright.domain.paired import Paired
from tunewright.domain.proposal import Idea
from tunewright.domain.protocols import Promotion, Scheduler, Steering
from tunewright.domain.study import Study
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.pruning import open_scheduler

_95 = 1.96
_STOP = "stop: "


@dataclass(frozen=True)
class Arm:
    """What is switched on."""

    stop_loss: bool = False
    profit: bool = False
    sizing: bool = False
    pruner: str = "promising"


ARMS = {
    "none": Arm(),
    "stop-loss": Arm(stop_loss=True),
    "take-profit": Arm(profit=True),
    "sizing": Arm(sizing=True),
    "all": Arm(stop_loss=True, profit=True, sizing=True),
    "no pruner": Arm(pruner="none"),
    "no pruner, stop-loss": Arm(pruner="none", stop_loss=True),
    "median": Arm(pruner="median"),
    "median, stop-loss": Arm(pruner="median", stop_loss=True),
}


@dataclass
class Managed(Replay):
    """A replay that judges, changes its style and stops what is steered so."""

    style: Any = "auto"
    stopped: int = 0

    def _begin(self) -> None:
        super()._begin()
        created = self.study.created
        assert created is not None
        # Told once more with the style: what is told last counts.
        self._tell(created.model_copy(update={"options": created.options.model_copy(update={"style": self.style})}))
        self._tell(ev.SessionOpened(pid=1, host="replay"))
        self._tell(ev.JobLaunched(job="base", role="base", binding="base", reserved=Cost()))
        result = JobResult(status="done", measurement=self._base())
        self._tell(ev.JobEnded(job="base", outcome=Completed(result=result, cost=Cost())))

    def _next(self) -> str | None:
        change = change_of_style(self.study)
        if change is not None:
            self._tell(change)
        return super()._next()

    def _play(self, job: str) -> None:
        super()._play(job)
        outcome = self.study.jobs[job].outcome
        if isinstance(outcome, Paused) and outcome.reason.startswith(_STOP):
            last = self.study.jobs[job].measurements[-1]
            self.stopped += 1
            # Told once more as what it is; its cost was counted with the first.
            ended = Pruned(reason=outcome.reason.removeprefix(_STOP), last=last, cost=Cost())
            self._tell(ev.JobEnded(job=job, outcome=ended))
        if isinstance(outcome, Completed):
            self._judge(job)

    def _judge(self, job: str) -> None:
        against = self.study.incumbent or "base"
        mine = self.jobs[job].play.record.rungs[-1].items
        theirs = self.world.table.base.items if against == "base" else self.jobs[against].play.record.rungs[-1].items
        gains = [float(a) - float(b) for a, b in zip(mine, theirs, strict=True)]
        gain, half = statistics.fmean(gains), _95 * statistics.stdev(gains) / math.sqrt(len(gains))
        answer: Any = "better" if gain > half else "worse" if gain < -half else "undecided"
        verdict = Verdict(
            trial=job, against=against, answer=answer, gain=gain, low=gain - half, high=gain + half, rows=len(gains),
            method="paired",
        )  # fmt: skip
        self._tell(ev.Judged(verdict=verdict, incumbent=job if answer == "better" else against))

    def _base(self) -> Measurement:
        base, rows = self.world.table.base.score, len(self.world.table.base.items)
        half = _95 * math.sqrt(max(base * (1 - base), 0.01) / rows)
        return Measurement(value=base, rows=rows, step=0, seconds=0.0, low=base - half, high=base + half)


class Marked:
    """A scheduler whose stops can be told from its pauses by the replay, which knows pauses alone."""

    def __init__(self, inner: Scheduler) -> None:
        self._inner, self.pauses = inner, inner.pauses

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """See ``Scheduler.decide``."""
        told = self._inner.decide(study, job, measurement)
        return told.model_copy(update={"reason": _STOP + told.reason}) if told.action == "stop" else told

    def compare(self, study: Study, job: str, paired: Paired) -> Steering:
        """See ``Scheduler.compare``."""
        return self._inner.compare(study, job, paired)

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``."""
        return self._inner.promote(study, closing=closing)


class Sized(OptunaStrategy):
    """The program's strategy with its ideas sized."""

    def ask(self, study: Study, count: int) -> list[Idea]:
        """See ``Strategy.ask``."""
        return [sized(study, idea) for idea in super().ask(study, count)]


def play(world: World, arm: Arm, budget_s: float, seed: int, style: str) -> tuple[Course, int]:
    """One study, and how many trials were stopped."""
    inner = open_scheduler(arm.pruner)
    if arm.stop_loss or arm.profit:
        inner = RiskManager(inner)
    with tempfile.TemporaryDirectory() as folder, only(arm):
        strategy = (Sized if arm.sizing else OptunaStrategy)(Path(folder) / "optuna.journal", sampler="tree", seed=seed)
        replay = Managed(world, strategy, Marked(inner), budget_s, seed, OUR_RUNGS, style=style)
        return replay.run(), replay.stopped


@contextmanager
def only(arm: Arm) -> Iterator[None]:
    """Takes out of the risk manager what the arm leaves off."""
    kept, off = (manager.STOP_LOSS, manager.TAKE_PROFIT), dict.fromkeys(manager.STOP_LOSS, math.inf)
    manager.STOP_LOSS = kept[0] if arm.stop_loss else off  # type: ignore[misc]  # for the time of a study
    manager.TAKE_PROFIT = kept[1] if arm.profit else off  # type: ignore[misc]  # likewise
    try:
        yield
    finally:
        manager.STOP_LOSS, manager.TAKE_PROFIT = kept  # type: ignore[misc]  # likewise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="concept")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--style", default="auto")
    given = parser.parse_args()
    place, first = ground(given.task), list[float]()
    print(f"{given.task}, {given.seeds} seeds, style {given.style}, budget {place.budget_s:.0f} s of trainings")
    print("| arm | after 1/4 | after 1/2 | at the end | against the first arm | trials | stopped | thinks, s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    for name in given.arms:
        began = time.process_time()
        seeds = range(given.seeds)
        played = [play(world_of(given.task, s), ARMS[name], place.budget_s, s, given.style) for s in seeds]
        heights = {
            share: [place.height(course.at(share * place.budget_s, place.base)) for course, _ in played]
            for share in (0.25, 0.5, 1.0)
        }
        first = first or heights[1.0]
        apart = [a - b for a, b in zip(heights[1.0], first, strict=True)]
        error = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
        row = [f"{statistics.fmean(found):.3f}" for found in heights.values()]
        row += [f"{statistics.fmean(apart):+.3f} +- {error:.3f}"]
        row += [f"{statistics.fmean(course.launched for course, _ in played):.1f}"]
        row += [f"{statistics.fmean(stopped for _, stopped in played):.1f}", f"{time.process_time() - began:.0f}"]
        print("| " + " | ".join([name, *row]) + " |", flush=True)


if __name__ == "__main__":
    main()
