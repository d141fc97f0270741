"""What ending a search early saves and loses, over the recorded trainings.

    python benchmarks/search/governor.py [--tasks concept ...] [--seeds 20] [--budgets 15 60]

Each study is played to the end of its budget, and what the governor thinks is written down at every idea. From that it
is known where each threshold would have ended it, and what the best recipe was worth there and at the end.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import table as tables
from course import Course
from study import Replay
from table import load
from world import Play, World

from tunewright.domain import event as ev
from tunewright.domain.recipe import Recipe
from tunewright.search.governor import LEAST_TRIALS, SHARE, TIMES_BRANCHES, Governor, Outlook
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.pruning import open_scheduler

SEED_SD = 0.012
SHARES = (0.25, 0.5, 1.0, 2.0)
RUNGS = (0.5, 1.0, 2.0)


@dataclass
class Governed(Replay):
    """A replay that is played to its end and asks the governor at every idea."""

    governor: Governor = field(default_factory=Governor)
    seen: list[tuple[float, int, Outlook]] = field(default_factory=list)
    """What was spent, trials that had ended, what was left to gain."""

    def _begin(self) -> None:
        super()._begin()
        self._tell(ev.SessionOpened(pid=1, host="replay"))

    def _next(self) -> str | None:
        ended = sum(job.ended or job.waiting for job in self.study.trials)
        if ended >= LEAST_TRIALS:
            outlook = self.governor.outlook(self.study)
            if outlook is not None:
                self.seen.append((self.course.spent_s, ended, outlook))
        return super()._next()


class Level(World):
    """A task on which all recipes that do not fail are alike: nothing is to be gained. Scores differ as seeds make them
    differ, measured on the tables: by a standard deviation of 0.012."""

    def play(self, recipe: Recipe, seed: int, rungs: tuple[float, ...] = ()) -> Play:
        found = super().play(recipe, seed, rungs)
        chance = random.Random(recipe.fingerprint)
        luck = chance.gauss(0.5, SEED_SD)
        looks = [replace(one, score=luck + chance.gauss(0, SEED_SD / 2), low=0.444, high=0.556) for one in found.looks]
        return replace(found, looks=tuple(looks))


@dataclass(frozen=True)
class Played:
    """One study to its end, with what the governor thought on the way."""

    budget_s: float
    seen: list[tuple[float, int, Outlook]]
    course: Course
    base: float
    branches: int

    def ends_at(self, share: float) -> float:
        """What was spent where a governor of this threshold ends it."""
        least = max(LEAST_TRIALS, TIMES_BRANCHES * self.branches)
        return next(
            (spent for spent, ended, one in self.seen if ended >= least and one.total < share * one.noise),
            self.budget_s,
        )

    def lost(self, share: float) -> float:
        """By how much the best recipe would have been worth less."""
        return self.worth(self.budget_s) - self.worth(self.ends_at(share))

    def worth(self, spent_s: float) -> float:
        return self.course.at(spent_s, self.base)


def play(world: World, trials: float, seed: int) -> Played:
    """One study, with time for so many trainings of the table's mean cost."""
    budget_s = trials * mean_cost_s(world)
    with tempfile.TemporaryDirectory() as folder:
        strategy = OptunaStrategy(Path(folder) / "optuna.journal", sampler="tree", seed=seed)
        replay = Governed(world, strategy, open_scheduler("promising"), budget_s, seed, RUNGS)
        course = replay.run()
    return Played(budget_s, replay.seen, course, world.table.base.score, len(world.space.dimensions[0].options))


@lru_cache
def mean_cost_s(world: World) -> float:
    return statistics.fmean(world.play(recipe, world.table.seeds[0]).cost_s for recipe in world.every())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", nargs="*", default=["concept"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budgets", nargs="*", type=float, default=[15, 60], help="In trainings of mean cost.")
    parser.add_argument("--tables", type=Path, default=tables.FOLDER)
    parser.add_argument("--level", action="store_true", help="As if all recipes were alike but for their seeds.")
    given = parser.parse_args()
    tables.FOLDER = given.tables
    for task in given.tasks:
        world = (Level if given.level else World)(load(task))
        for trials in given.budgets:
            played = [play(world, trials, seed) for seed in range(given.seeds)]
            noise = statistics.median(one.seen[-1][2].noise for one in played if one.seen)
            print(f"{task}, {trials:g} trainings' time, {given.seeds} studies, standard error of a score {noise:.4f}")
            for share in SHARES:
                tell(played, share)


def tell(played: list[Played], share: float) -> None:
    saved = [1 - one.ends_at(share) / one.budget_s for one in played]
    lost = [one.lost(share) for one in played]
    ended = sum(value > 0 for value in saved)
    mark = " (ours)" if share == SHARE else ""
    print(
        f"  below {share:g} of it{mark}: {ended} end early, saved {statistics.fmean(saved):.1%} of all budgets; lost "
        f"{statistics.fmean(lost):.4f} on average, {max(lost):.4f} at most, more than 0.01 in "
        f"{sum(value > 0.01 for value in lost)}"
    )


if __name__ == "__main__":
    main()
