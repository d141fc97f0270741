"""What advice does to a search, over the recorded trainings: the reflection panel's, and good, useless and harmful.

    nice -n 10 python benchmarks/search/advice.py [--tasks concept] [--seeds 10] [--arms off rules ...] [--every]

Every arm plays the same studies: the same first guesses, seeds and budgets, by the default sampler and pruner. What is
advised is proposed by the proposer's own rule, within the share that the bandit leaves it; trials are judged by the
evaluator, read by the panel, and graded as in a study. Only the adviser differs:

    off         nobody
    again       nobody, and another seed of the sampler: what chance does by itself
    rules       the reflection panel without a language model
    good        recipes drawn from the best tenth of the table
    useless     recipes drawn from the whole table
    harmful     recipes drawn from the worst tenth of those that run
    infeasible  recipes that fail or pass the memory limit

No arm pays for a language model. Rows have no text and no label here, so the data critic finds no slices.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from bench import TRAININGS, ground, markdown, world_of
from course import Course
from figures import Figures, apart, boot
from method import OUR_RUNGS
from study import Replay
from table import load
from world import World

from tunewright.agents.advice.turns import planner_ideas
from tunewright.agents.nodes.evaluator import make_evaluator
from tunewright.agents.nodes.proposer import next_ideas
from tunewright.agents.nodes.reflection import make_reflection
from tunewright.agents.notebook import Notebook
from tunewright.agents.reflection.experiments import next_experiment
from tunewright.agents.reflection.grade import grades
from tunewright.agents.reflection.panel import Panel
from tunewright.agents.risk.share import improvement, share, start_up
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.outcome import Completed, Item, JobResult, Measurement
from tunewright.domain.proposal import Idea
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.search.hopeless import Hopeless
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.pruning import open_scheduler

ARMS = ("off", "again", "rules", "good", "useless", "harmful", "infeasible")
_95 = 1.96
_TENTH = 10
_BATCH = 5
"""Ideas that a scripted adviser has for a round at most, as the program asks for."""
_AGAIN = 1_000
"""Between the sampler's seeds of two studies that differ in nothing else."""

Adviser = Callable[[Study], Idea | None]


@dataclass(frozen=True)
class Heard:
    """What came of the advice in one study."""

    course: Course
    proposals: int = 0
    advised: int = 0
    """Of the proposals."""
    repeated: int = 0
    """Of those advised: trainings of the table that the study had begun before. A rate is taken for the nearest one
    that is recorded, so that a small change may change nothing here."""
    dropped: int = 0
    """Ideas that were hopeless, and not proposed."""
    gained: float = 0.0
    """Sum of the improvements of what was advised, from 0 to 1 each."""
    shares: list[float] = field(default_factory=list)
    """That the bandit left, at each question to the adviser after the sampler's start-up."""


class Scripted:
    """Advises what it has, in an order drawn by the seed, and nothing twice."""

    def __init__(self, name: str, world: World, seed: int) -> None:
        self._world, self._recipes = world, list(advice(world, name))
        random.Random(f"{name} {world.table.task} {seed}").shuffle(self._recipes)

        self._given: Counter[int] = Counter()
        """Proposals there were -> ideas given then."""

    def __call__(self, study: Study) -> Idea | None:
        if self._given[len(study.proposals)] == _BATCH:
            return None
        self._given[len(study.proposals)] += 1
        known = trained(self._world, study)
        while self._recipes and self._of_no_use(self._recipes[0], study, known):
            del self._recipes[0]
        if not self._recipes:
            return None
        return Idea(recipe=self._recipes[0], origin="planner", reason="scripted")

    def _of_no_use(self, recipe: Recipe, study: Study, known: set[str]) -> bool:
        return str(self._world.settings(recipe)) in known or recipe.fingerprint in study.stock.dropped


@dataclass
class Advised(Replay):
    """A replay with the program's proposer, evaluator and reflection."""

    folder: Path = Path()
    adviser: Adviser = lambda study: None
    panel: bool = False
    hopeless: Callable[[Study, Recipe], str | None] = lambda study, recipe: None
    heard: dict[str, bool] = field(default_factory=dict)
    """Advised trial -> whether the study had made its training before."""
    shares: list[float] = field(default_factory=list)

    def append(self, event: ev.Event) -> None:
        """What nodes record."""
        self._tell(event)

    def _begin(self) -> None:
        super()._begin()
        self._notebook = Notebook(self, lambda event: None)
        self._evaluate = make_evaluator(self._notebook, self.folder)
        self._reflect = make_reflection(self._notebook, Panel(self.folder).meet)
        inner = self.strategy
        self.strategy = _Strategy(self, inner)  # type: ignore[assignment]  # asked for ideas alone
        self._tell(ev.SessionOpened(pid=1, host="replay"))
        self._tell(ev.JobLaunched(job="base", role="base", binding="base", reserved=Cost()))
        self._leave("base", self.world.table.base.items)
        self._tell(ev.JobEnded(job="base", outcome=Completed(result=_base(self.world), cost=Cost())))

    def _propose(self, job: str, idea: Idea) -> None:
        if idea.origin == "planner":
            self.heard[job] = str(self.world.settings(idea.recipe)) in trained(self.world, self.study)
        super()._propose(job, idea)

    def _play(self, job: str) -> None:
        super()._play(job)
        if isinstance(self.study.jobs[job].outcome, Completed):
            self._leave(job, self.jobs[job].play.record.rungs[-1].items)
        self._evaluate({})
        if self.panel:
            self._timed(lambda: self._reflect({}))

    def _leave(self, job: str, right: Sequence[Any]) -> None:
        out = self.folder / "trials" / job / "out"
        out.mkdir(parents=True)
        items = (Item(id=str(at), score=float(one), prediction="", target="") for at, one in enumerate(right))
        (out / "items.jsonl").write_text("".join(item.model_dump_json() + "\n" for item in items))


@dataclass(frozen=True)
class _Strategy:
    """The proposer's rule around the sampler."""

    replay: Advised
    inner: OptunaStrategy

    def ask(self, study: Study, count: int) -> list[Idea]:
        """See ``Strategy.ask``."""
        return next_ideas(study, self._planner, lambda _: self.inner, count)

    def _planner(self, study: Study) -> list[Idea]:
        if len(study.proposals) >= start_up(study):
            self.replay.shares.append(share(study))
        replay = self.replay
        return planner_ideas(study, experiment=replay.adviser, drop=replay.append, hopeless=replay.hopeless)


def play(arm: str, world: World, budget_s: float, seed: int, *, every: bool = False) -> Heard:
    """One study.

    Args:
        every: whether hopeless ideas are tried too.
    """
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="advice-", dir=memory) as folder:
        replay = Advised(
            world,
            OptunaStrategy(Path(folder) / "optuna.journal", sampler="tree", seed=seed + _AGAIN * (arm == "again")),
            open_scheduler("promising"),
            budget_s,
            seed,
            OUR_RUNGS,
            folder=Path(folder),
            adviser=adviser(arm, world, seed),
            panel=arm == "rules",
            hopeless=(lambda study, recipe: None) if every else Hopeless(),
        )
        course = replay.run()
    advised = [one for one in grades(replay.study) if one.trial in replay.heard]
    return Heard(
        course,
        proposals=len(replay.study.proposals),
        advised=len(replay.heard),
        repeated=sum(replay.heard.values()),
        dropped=len(replay.study.stock.dropped),
        gained=math.fsum(improvement(one) for one in advised),
        shares=replay.shares,
    )


def adviser(arm: str, world: World, seed: int) -> Adviser:
    """Who is asked."""
    if arm in ("off", "again"):
        return lambda study: None
    return next_experiment if arm == "rules" else Scripted(arm, world, seed)


def advice(world: World, name: str) -> tuple[Recipe, ...]:
    """The recipes that a scripted adviser draws from."""
    return _advice(world.table.task, name)


@lru_cache(64)
def _advice(task: str, name: str) -> tuple[Recipe, ...]:
    """Likewise: they are the same in all worlds of a task."""
    world = World(load(task))
    every = world.every()
    if name == "useless":
        return tuple(every)
    faults = [sum(bool(world.play(recipe, seed).fault) for seed in world.table.seeds) for recipe in every]
    if name == "infeasible":
        return tuple(recipe for recipe, many in zip(every, faults, strict=True) if many == len(world.table.seeds))
    ran = [recipe for recipe, many in zip(every, faults, strict=True) if not many]
    ranked = sorted(ran, key=lambda recipe: (world.truth(recipe), str(world.settings(recipe))))
    return tuple(ranked[-(len(ranked) // _TENTH) :] if name == "good" else ranked[: len(ranked) // _TENTH])


def trained(world: World, study: Study) -> set[str]:
    """The table's settings of everything that was proposed."""
    return {str(world.settings(study.recipe_of(one).recipe)) for one in study.proposals}


def _base(world: World) -> JobResult:
    score, rows = world.table.base.score, len(world.table.base.items)
    half = _95 * math.sqrt(max(score * (1 - score), 0.01) / rows)
    return JobResult(
        status="done",
        measurement=Measurement(value=score, rows=rows, step=0, seconds=0.0, low=score - half, high=score + half),
    )


Key = tuple[str, int]


def table(found: dict[str, dict[Key, Heard]], figures: Figures) -> str:
    """Every arm, a row each; against ``off`` study by study."""
    head = ["arm", "after 1/4", "after 1/2", "at the end", "end, against off", "over the budget, against off"]
    head += ["cost to off's end", "against off"]
    head += ["share left", "dropped", "advised", "repeated", "gained each", "trials", "infeasible", "thinks, s"]
    rows = []
    for arm, studies in found.items():
        row = [arm, *(str(boot(figures.heights(arm, part), np.median)) for part in (0.25, 0.5, 1.0))]
        if "off" in found:
            row.append(str(boot(apart(figures.heights(arm, 1.0), figures.heights("off", 1.0)), np.mean)))
            row.append(str(boot(apart(figures.means(arm), figures.means("off")), np.mean)))
            mine, theirs = (figures.costs_to(who, "off") for who in (arm, "off"))
            row += [str(figures.cost_to(arm, "off"))]
            row.append(str(boot([a / b for a, b in zip(mine, theirs, strict=True)], np.median)))
        else:
            row += [""] * 4
        heard = list(studies.values())
        shares = [one for each in heard for one in each.shares]
        advised = sum(one.advised for one in heard)
        row.append(f"{statistics.fmean(shares):.2f}" if shares else "")
        row.append(f"{sum(one.dropped for one in heard) / len(heard):.1f}")
        row.append(f"{advised / sum(one.proposals for one in heard):.0%}")
        row += [f"{sum(one.repeated for one in heard) / advised:.0%}" if advised else ""]
        row += [f"{sum(one.gained for one in heard) / advised:.2f}" if advised else ""]
        row += [f"{figures.launched(arm):.0f}", f"{figures.infeasible(arm):.1%}", f"{figures.asked_s(arm):.1f}"]
        rows.append(row)
    return markdown(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=["concept"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trainings", type=float, default=TRAININGS, help="of the default: the time of a study")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--every", action="store_true", help="hopeless ideas are tried too")
    parser.add_argument("--keep", type=Path, help="studies are added to this file, and those in it not played again")
    given = parser.parse_args()
    began, known = time.perf_counter(), read(given.keep) if given.keep else {}
    found: dict[str, dict[Key, Heard]] = {arm: {} for arm in given.arms}
    for seed in range(given.seeds):
        for task in given.tasks:
            for arm in given.arms:
                heard = known.get((arm, task, seed))
                if heard is None:
                    place = ground(task, given.trainings)
                    heard = play(arm, world_of(task, seed), place.budget_s, seed, every=given.every)
                    if given.keep:
                        write(given.keep, (arm, task, seed), heard)
                found[arm][task, seed] = heard
    figures = Figures(
        {task: ground(task, given.trainings) for task in given.tasks},
        {arm: {key: heard.course for key, heard in studies.items()} for arm, studies in found.items()},
    )
    print(table(found, figures))
    print(f"\n{', '.join(given.tasks)}, {given.seeds} seeds each, in {time.perf_counter() - began:.0f} s.")


def read(path: Path) -> dict[tuple[str, str, int], Heard]:
    """The studies in a file; none where there is no such file."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        (arm, task, seed), heard = json.loads(line)
        course = Course(**heard.pop("course"))
        course.points = [(spent, worth) for spent, worth in course.points]
        found[arm, task, seed] = Heard(course, **heard)
    return found


def write(path: Path, key: tuple[str, str, int], heard: Heard) -> None:
    """Adds a study to a file."""
    heard.course.best_recipe = None
    with path.open("a") as file:
        file.write(json.dumps([key, asdict(heard)]) + "\n")


if __name__ == "__main__":
    main()
