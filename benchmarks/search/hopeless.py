"""How often an idea that is called hopeless would have won, over the recorded trainings.

    nice -n 10 python benchmarks/search/hopeless.py [--tasks concept ...] [--seeds 20]

At each idea of a study the surrogate is asked of some recipes that were not tried: drawn from the whole table, from its
best tenth, and from those that differ from the best trial in one setting. A recipe would have won if the score that it
would have had is above the best so far; it is better if its mean over all seeds is above that of the best trial, which
has often been lucky.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from advice import advice, trained
from bench import ground, markdown, world_of
from method import OUR_RUNGS
from study import Replay
from world import World

from tunewright.domain.recipe import Recipe
from tunewright.search.expecting import Expecting
from tunewright.search.hopeless import CHANCE, LEAST
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.pruning import open_scheduler

CHANCES = (0.05, 1e-2, 1e-3, 1e-4, 1e-6)
LEASTS = (10, 15)
_EACH = 4
"""Recipes of each sort that are asked of at an idea."""


@dataclass(frozen=True)
class Asked:
    """One answer of the surrogate."""

    sort: str
    ended: int
    """Trials with a score at their end by then."""
    chance: float
    won: bool
    better: bool


@dataclass
class Asking(Replay):
    """A replay that asks of some recipes at every idea."""

    expecting: Expecting = field(default_factory=Expecting)
    answers: list[Asked] = field(default_factory=list)

    def _next(self) -> str | None:
        best = self.study.best()
        ended = sum(job.estimate is not None for job in self.study.trials)
        if best is not None and best.score is not None and ended >= min(LEASTS):
            chance = random.Random(f"{self.seed} {len(self.study.proposals)}")
            top = self.study.recipe_of(best.id).recipe
            known, worth = trained(self.world, self.study), self.world.truth(top)
            for sort, among in _sorts(self.world, top).items():
                drawn = chance.sample(list(among), min(2 * _EACH, len(among)))
                drawn = [one for one in drawn if str(self.world.settings(one)) not in known][:_EACH]
                for recipe, hope in zip(drawn, self.expecting(self.study, drawn, best.score), strict=True):
                    if hope is not None:
                        won, better = self._score(recipe) > best.score, self.world.truth(recipe) > worth
                        self.answers.append(Asked(sort, ended, hope.chance, won, better))
        return super()._next()

    def _score(self, recipe: Recipe) -> float:
        """What the next trial would have scored with it; that of the untouched model where it breaks."""
        seeds = self.world.table.seeds
        looks = self.world.play(recipe, seeds[(self.seed + len(self.jobs)) % len(seeds)]).looks
        return looks[-1].score if looks else self.world.table.base.score


def _sorts(world: World, top: Recipe) -> dict[str, Sequence[Recipe]]:
    here = world.settings(top)
    near = [one for one, settings in _known(world) if sum(here[name] != value for name, value in settings.items()) == 1]
    return {"any": advice(world, "useless"), "best tenth": advice(world, "good"), "near the best": near}


@lru_cache(1)
def _known(world: World) -> list[tuple[Recipe, dict[str, Any]]]:
    return [(one, world.settings(one)) for one in world.every()]


def play(task: str, seed: int, trainings: float) -> list[Asked]:
    """What was said in one study."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hopeless-", dir=memory) as folder:
        replay = Asking(
            world_of(task, seed),
            OptunaStrategy(Path(folder) / "optuna.journal", sampler="tree", seed=seed),
            open_scheduler("promising"),
            ground(task, trainings).budget_s,
            seed,
            OUR_RUNGS,
        )
        replay.run()
    return replay.answers


def table(answers: Sequence[Asked]) -> str:
    """What is dropped, and what of it would have won; a row for each threshold and sort of recipe."""
    rows = []
    for least in LEASTS:
        for chance in CHANCES:
            for sort, said in _by_sort([one for one in answers if one.ended >= least]).items():
                dropped = [one for one in said if one.chance < chance]
                won, lost = sum(one.won for one in said), sum(one.won for one in dropped)
                better = sum(one.better for one in dropped)
                rows.append(
                    [
                        f"{least}{' (ours)' if (least, chance) == (LEAST, CHANCE) else ''}",
                        f"{chance:g}",
                        sort,
                        f"{len(said)}",
                        f"{len(dropped) / len(said):.0%}",
                        f"{lost / len(dropped):.1%}" if dropped else "",
                        f"{better / len(dropped):.1%}" if dropped else "",
                        f"{won / len(said):.1%}",
                        f"{lost / won:.1%}" if won else "",
                    ]
                )
    head = ["ended", "chance below", "recipes", "asked", "dropped", "of those would have won", "are better"]
    return markdown([*head, "of all would have won", "winners that are dropped"], rows)


def _by_sort(answers: Sequence[Asked]) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = defaultdict(list)
    for one in answers:
        found[one.sort].append(one)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=["concept"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trainings", type=float, default=30.0, help="of the default: the time of a study")
    given = parser.parse_args()
    for task in given.tasks:
        answers = [one for seed in range(given.seeds) for one in play(task, seed, given.trainings)]
        print(f"{task}, {given.seeds} studies of {given.trainings:g} trainings\n\n{table(answers)}\n")


if __name__ == "__main__":
    main()
