"""What a planner's priors do to a search, over the recorded trainings: good ones, useless ones and harmful ones.

    nice -n 10 python benchmarks/search/priors.py [--tasks concept] [--seeds 30] [--weight 0.7] [--keep FILE]

Every arm plays the same studies: the same first guesses, seeds and budgets, by the default sampler and pruner. Before
the first trial a planner guesses every setting of one recipe, drawn by the seed, which it holds for the best:

    off      nobody guesses
    again    nobody, and another seed of the sampler: what chance does by itself
    good     a recipe of the best tenth of the table
    useless  any recipe of the table
    harmful  one of the worst tenth of those that run
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from advice import advice
from bench import TRAININGS, ground, markdown, world_of
from course import Course
from figures import Figures, apart, boot
from method import OUR_RUNGS
from study import played
from world import World

from tunewright.domain.prior import Prior

ARMS = ("off", "again", "good", "useless", "harmful")
WEIGHT = 0.7
"""How sure the planner is of each guess."""
_AGAIN = 1_000
"""Between the sampler's seeds of two studies that differ in nothing else."""


def priors(arm: str, world: World, seed: int, weight: float) -> tuple[Prior, ...]:
    """Guesses of all settings of one recipe."""
    if arm in ("off", "again"):
        return ()
    recipe = random.Random(f"prior {arm} {world.table.task} {seed}").choice(advice(world, arm))
    return tuple(Prior(name=name, value=value, weight=weight) for name, value in world.space.assignment(recipe).items())


def play(arm: str, task: str, seed: int, trainings: float, weight: float) -> Course:
    """One study."""
    world = world_of(task, seed)
    return played(
        world,
        "tree",
        "promising",
        ground(task, trainings).budget_s,
        seed,
        OUR_RUNGS,
        priors=priors(arm, world, seed, weight),
        sampler_seed=seed + _AGAIN * (arm == "again"),
    ).course


def table(figures: Figures, arms: Sequence[str]) -> str:
    """Every arm, a row each; against ``off`` study by study."""
    head = ["arm", "after 1/10", "after 1/4", "after 1/2", "at the end"]
    head += ["end, against off", "over the budget, against off", "trials", "infeasible", "thinks, s"]
    rows = []
    for arm in arms:
        row = [arm, *(str(boot(figures.heights(arm, part), np.mean)) for part in (0.1, 0.25, 0.5, 1.0))]
        row.append(str(boot(apart(figures.heights(arm, 1.0), figures.heights("off", 1.0)), np.mean)))
        row.append(str(boot(apart(figures.means(arm), figures.means("off")), np.mean)))
        row += [f"{figures.launched(arm):.0f}", f"{figures.infeasible(arm):.1%}", f"{figures.asked_s(arm):.1f}"]
        rows.append(row)
    return markdown(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=["concept"])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trainings", type=float, default=TRAININGS, help="of the default: the time of a study")
    parser.add_argument("--weight", type=float, default=WEIGHT, help="how sure the planner is of each guess")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--keep", type=Path, help="studies are added to this file, and those in it not played again")
    given = parser.parse_args()
    began, known = time.perf_counter(), read(given.keep) if given.keep else {}
    arms = ["off", *(arm for arm in given.arms if arm != "off")]
    found: dict[str, dict[tuple[str, int], Course]] = {arm: {} for arm in arms}
    for seed in range(given.seeds):
        for task in given.tasks:
            for arm in arms:
                course = known.get((arm, task, seed))
                if course is None:
                    course = play(arm, task, seed, given.trainings, given.weight)
                    if given.keep:
                        write(given.keep, (arm, task, seed), course)
                found[arm][task, seed] = course
    figures = Figures({task: ground(task, given.trainings) for task in given.tasks}, found)
    print(f"mean height over the budget without guesses: {np.mean(figures.means('off')):.3f}\n")
    print(table(figures, arms))
    print(f"\n{', '.join(given.tasks)}, {given.seeds} seeds each, in {time.perf_counter() - began:.0f} s.")


def read(path: Path) -> dict[tuple[str, str, int], Course]:
    """The studies in a file; none where there is no such file."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        (arm, task, seed), course = json.loads(line)
        found[arm, task, seed] = Course(**course)
        found[arm, task, seed].points = [(spent, worth) for spent, worth in course["points"]]
    return found


def write(path: Path, key: tuple[str, str, int], course: Course) -> None:
    """Adds a study to a file."""
    course.best_recipe = None
    with path.open("a") as file:
        file.write(json.dumps([key, asdict(course)]) + "\n")


if __name__ == "__main__":
    main()
