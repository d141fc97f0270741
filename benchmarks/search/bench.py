"""Studies of every method of search over recorded trainings, and what they say beside the aims.

    python benchmarks/search/bench.py [--tasks noun ...] [--seeds 30] [--trainings 30] [--workers 2] [--write]

Each study begins with the same guess for all methods, a recipe from the middle third of the table, and has the time of
30 trainings of the table's default recipe, and at most three times as many trials. What a trial costs is what
its training took when it was recorded. Needs no network, no GPU and no model: everything is read from ``tables/``.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from course import Course
from figures import REFERENCES, Figures, Ground, said
from intervals import coverage
from items import spared
from method import METHODS
from same import false_winners
from table import FOLDER, TASKS, load
from warm import Warmth, after
from world import World

TRAININGS = 30.0
"""Of the default recipe: the budget of a study, in what they take."""
OURS = "ours"
SISTERS = {"noun": "concept"}
"""Task -> one like it. Any other task is one that misleads."""
_GUESSES = 1_000
"""First guesses that are drawn of a task, so that a seed's guess does not depend on how many seeds there are."""


@dataclass(frozen=True)
class Job:
    """One study, or one comparison."""

    kind: str
    """A method, ``sister`` or ``misleading``."""
    task: str
    seed: int
    trainings: float
    """Of the default recipe: the budget of the study, in what they take."""
    other: str = ""
    """Task of the earlier study."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=[], help="by default those that are reported")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument(
        "--trainings", type=float, default=TRAININGS, help="a study's time, in trainings of the default"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--cold", action="store_true", help="without studies that begin from an earlier one")
    parser.add_argument("--write", action="store_true", help="writes the figure and the tables into docs/")
    given = parser.parse_args()
    began = time.perf_counter()
    tasks = given.tasks or reported()
    if not tasks:
        raise SystemExit("no task to report has a whole table yet: go on with make_table.py, then pack.py")
    todo = jobs(tasks, given.methods, given.seeds, given.trainings)
    found = played([job for job in todo if not (given.cold and job.other)], given.workers)
    figures = Figures({task: ground(task, given.trainings) for task in tasks}, by_method(found))
    sections = [methods_table(figures, given.methods)]
    if OURS in given.methods:
        sections.append(aims_table(figures, found, tasks, given.workers))
    sections.append(
        f"{len(found)} studies of {given.trainings:g} trainings on {', '.join(tasks)}, {given.seeds} seeds each, "
        f"in {time.perf_counter() - began:.0f} s."
    )
    print("\n\n".join(sections))
    if given.write:
        from page import write

        write(figures, given.methods, tasks, sections)


def reported() -> list[str]:
    """The tasks that no method was tuned on, as far as their tables are whole."""
    there = [load(name) for name in TASKS if (FOLDER / f"{name}.npz").exists()]
    return [table.task for table in there if table.use == "report" and table.whole]


def jobs(tasks: Sequence[str], methods: Sequence[str], seeds: int, trainings: float) -> list[Job]:
    """Every study, the longest methods first so that the workers end together."""
    whole = [name for name in TASKS if (FOLDER / f"{name}.npz").exists() and load(name).whole]
    slow = [
        Job(method, task, seed, trainings) for method in reversed(methods) for task in tasks for seed in range(seeds)
    ]
    warm = [
        Job(kind, task, seed, trainings, other)
        for task in tasks
        for kind, other in (("sister", SISTERS.get(task, "")), ("misleading", misleading(task)))
        for seed in range(seeds // 2 if kind == "sister" else seeds // 6)
        if other and other in whole and OURS in methods
    ]
    return [*warm, *slow]


def misleading(task: str) -> str:
    """A task that has little to do with it."""
    return next((name for name in ("verse", "field") if name not in (task, SISTERS.get(task))), "")


def played(todo: Sequence[Job], workers: int) -> list[tuple[Job, Course]]:
    """Every job with its course."""
    with get_context("fork").Pool(workers, _without_gc) as pool:
        found = list(pool.imap_unordered(_in_a_worker, todo, chunksize=1))
    return sorted(found, key=lambda one: str(one[0]))  # intervals are drawn in this order


def _without_gc() -> None:
    """The collector goes through all tables and recipes again and again, for two fifths of the time of a study."""
    gc.freeze()
    gc.disable()


def _in_a_worker(job: Job) -> tuple[Job, Course]:
    done = play(job)
    gc.collect()
    gc.freeze()  # what is left is recipes and libraries, which stay
    return done


def play(job: Job) -> tuple[Job, Course]:
    world, budget_s = world_of(job.task, job.seed), ground(job.task, job.trainings).budget_s
    if job.other:
        return job, after(world, world_of(job.other, job.seed), budget_s, job.seed)
    return job, METHODS[job.kind](world, budget_s, job.seed)


@lru_cache(256)
def world_of(task: str, seed: int) -> World:
    """The task as a study with this seed finds it."""
    return World(load(task), first=guesses(task)[seed])


@lru_cache
def guesses(task: str) -> list[Any]:
    return World(load(task)).first_guesses(_GUESSES)


@lru_cache
def ground(task: str, trainings: float = TRAININGS) -> Ground:
    table = load(task)
    world = World(table)
    top = max(world.truth(recipe) for recipe in world.every())
    return Ground(trainings * world.default_s, table.base.score, top)


def by_method(found: Iterable[tuple[Job, Course]]) -> dict[str, dict[tuple[str, int], Course]]:
    studies: dict[str, dict[tuple[str, int], Course]] = defaultdict(dict)
    for job, course in found:
        if not job.other:
            studies[job.kind][job.task, job.seed] = course
    return studies


def methods_table(figures: Figures, methods: Sequence[str]) -> str:
    """Every method, a row each."""
    references = [name for name in REFERENCES if name in methods]
    head = ["method", "after 1/4", "after 1/2", "at the end"]
    head += [f"cost to {name}'s best" for name in references]
    head += ["cost to 99 %", "get there", "trials", "infeasible", "thinks, s"]
    rows = []
    for method in methods:
        top, reached = figures.cost_to_top(method)
        row = [method, *(f"{figures.height(method, share).value:.2f}" for share in (0.25, 0.5))]
        row.append(str(figures.height(method, 1.0)))
        row += [str(figures.cost_to(method, name)) for name in references]
        row += [said(top.value), f"{reached:.0%}", f"{figures.launched(method):.0f}"]
        rows.append([*row, f"{figures.infeasible(method):.1%}", f"{figures.asked_s(method):.1f}"])
    return markdown(head, rows)


def aims_table(figures: Figures, found: Sequence[tuple[Job, Course]], tasks: Sequence[str], workers: int = 1) -> str:
    """What ours is held to, and what it came to."""
    tables = [load(task) for task in tasks]
    rows = [
        [f"cost to the best that {name} ends with", f"at most {aim}", str(figures.cost_to(OURS, name))]
        for name, aim in zip(REFERENCES, (0.25, 0.5, 0.7), strict=True)
    ]
    rows.append(["infeasible launches", "at most 5 %", f"{figures.infeasible(OURS):.1%}"])
    with get_context("fork").Pool(workers, _without_gc) as pool:
        covered = pool.starmap_async(coverage, [(one, 100) for one in tables], chunksize=1)
        less = pool.map(spared, tables, chunksize=1)
        hits = [hit for found_ in covered.get() for count, all_ in found_.items() if count for hit in all_]
    for at, what in enumerate(("time", "memory")):
        inside = statistics.fmean(hit[at].inside for hit in hits)
        rows.append([f"80 % intervals of {what} hold", "70 to 90 %", f"{inside:.0%}"])
    claimed, studies = sum(false_winners(one, 400) for one in tables), 400 * len(tables)
    rows.append(["false winners among recipes that are the same", "at most 5 %", f"{claimed / studies:.1%}"])
    items = f"{statistics.fmean(one.items for one in less):.0%}"
    same = f"{statistics.fmean(one.same for one in less):.0%}"
    rows.append(["evaluation items spared; same winner", "at least 40 %; 95 %", f"{items}; {same}"])
    cold = by_method(found)[OURS]
    for kind, aim in (("sister", "at most 0.75"), ("misleading", "at most 1.1")):
        ratios = [Warmth(cold[job.task, job.seed], warm).ratio for job, warm in found if job.kind == kind]
        if ratios:
            what = f"trials to the same score after a {kind} task, {len(ratios)} pairs"
            rows.append([what, aim, said(statistics.median(ratios))])
    return markdown(["what", "aim", "measured"], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well as text too."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


if __name__ == "__main__":
    main()
