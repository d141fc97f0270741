"""Makes the tables: every training of the grid on every task. What is done is kept, and is not done again.

    nice -n 15 python benchmarks/search/make_table.py [--workers 2] [--tasks noun verse ...] [--check]

Each training is a process of its own, forked from this one after its imports, with one thread. A finished one is a line
of ``scratch/shards/TASK.jsonl``. ``pack.py`` makes the tables of the shards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from base import BASE
from grid import AXES, DEFAULT, EPOCHS, RUNGS, SAME_SEEDS, SEEDS, TRAININGS, Settings
from pool import forked
from task import TASKS, as_jsonl, rows_of
from texts import WORK, passages

SHARDS = WORK / "shards"
Job = tuple[str, Settings, int]
"""Task, settings and seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--some", type=int, help="only so many recipes of each task, drawn at random, and no repeats")
    parser.add_argument(
        "--check", action="store_true", help="only see whether short trainings are beginnings of long ones"
    )
    given = parser.parse_args()
    SHARDS.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(kept_splits(), given.workers)
    if given.check:
        raise SystemExit(sum(not workshop.check(name) for name in given.tasks))
    workshop.bases(given.tasks)
    wanted = list(some_jobs(given.tasks, given.some) if given.some else jobs(given.tasks))
    done = Done()
    left = [job for job in wanted if job not in done]
    print(f"{len(wanted) - len(left)} of {len(wanted)} trainings are done", flush=True)
    workshop.trainings(left)


def jobs(names: Iterable[str]) -> Iterator[Job]:
    """In the order in which they are done: what is finished first is of use first."""
    pairs = [names[at : at + 2] for names in [list(names)] for at in range(0, len(names), 2)]
    for pair in pairs:
        for seed in SEEDS:
            for name in pair:
                order = random.Random(f"{name} {seed}").sample(TRAININGS, len(TRAININGS))
                yield from ((name, settings, seed) for settings in order)
        yield from ((name, DEFAULT, seed) for name in pair for seed in SAME_SEEDS)


def some_jobs(names: Iterable[str], count: int) -> Iterator[Job]:
    """For a first look at the tasks: a few recipes with both seeds, the default among them."""
    for name in names:
        drawn = random.Random(name).sample([one for one in TRAININGS if one != DEFAULT], count - 1)
        yield from ((name, settings, seed) for settings in [DEFAULT, *drawn] for seed in SEEDS)


class Done:
    """The trainings that the shards hold."""

    def __init__(self) -> None:
        self._found = {self._key(record) for name in TASKS for record in records(name)}

    def __contains__(self, job: Job) -> bool:
        name, settings, seed = job
        return self._key({"task": name, "seed": seed, **settings}) in self._found

    @staticmethod
    def _key(record: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(record[name] for name in ("task", "seed", *DEFAULT))


def records(name: str) -> Iterator[dict[str, Any]]:
    """What a task's shard holds, without lines torn by a crash and trainings that the machine failed."""
    path = SHARDS / f"{name}.jsonl"
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            record = json.loads(text)
        except ValueError:
            continue
        if record.get("fault", {}).get("kind") != "infra":
            yield record


def kept_splits() -> dict[str, Any]:
    """The rows of every task, made once and written to ``scratch/rows``."""
    folder = WORK / "rows"
    if not (folder / "whole.json").exists():
        folder.mkdir(exist_ok=True)
        every = list(passages())
        made = {name: rows_of(task, every) for name, task in TASKS.items()}
        (folder / "whole.json").write_text(json.dumps(made), encoding="utf-8")
        for name, splits in made.items():
            for split, rows in splits.items():
                (folder / f"{name}.{split}.jsonl").write_text(as_jsonl(rows), encoding="utf-8")
    found: dict[str, Any] = json.loads((folder / "whole.json").read_text(encoding="utf-8"))
    return found


class Workshop:
    """What every training needs, imported before the first fork.

    Args:
        splits: of every task.
        workers: processes at a time.
    """

    def __init__(self, splits: dict[str, Any], workers: int) -> None:
        import training
        import transformers

        from tunewright.tools.models.resolve import resolve
        from tunewright.tools.training import preload

        assert preload.LOADED
        transformers.utils.logging.disable_progress_bar()
        warnings.simplefilter("ignore")  # the libraries' advice for programmers, once a training
        self.splits, self.workers, self._train, self._measure = splits, workers, training.train, training.measure_base
        self._model = resolve(str(BASE), cache=WORK / "cache").identity
        self._scratch = Path(tempfile.mkdtemp(prefix="search-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def bases(self, names: Iterable[str]) -> None:
        """Measures the untouched base on each task that it has not been measured on."""
        left = [name for name in names if not (SHARDS / f"{name}.base.json").exists()]
        for name, found in forked(self._base, left, 1):
            if found is not None:
                (SHARDS / f"{name}.base.json").write_text(json.dumps(found), encoding="utf-8")

    def trainings(self, left: Sequence[Job]) -> None:
        """Does them, and writes each down."""
        began = time.perf_counter()
        for done, (job, record) in enumerate(forked(self._training, left, self.workers), start=1):
            if record is None:
                print(f"{job}: its process died; the next call tries again", flush=True)
                continue
            with (SHARDS / f"{job[0]}.jsonl").open("a", encoding="utf-8") as shard:
                shard.write(json.dumps({"task": job[0], **record}, separators=(",", ":")) + "\n")
            if done % 50 == 0:
                pace = (time.perf_counter() - began) / done
                rest = (len(left) - done) * pace / 3600
                print(f"{done} of {len(left)}: {pace:.2f} s each, {rest:.1f} h are left", flush=True)

    def check(self, name: str) -> bool:
        """Whether trainings of one and two epochs are the beginning of one of four to the bit, for each adapter."""
        jobs = [(name, {**DEFAULT, "adapter": adapter}, 1) for adapter in AXES["adapter"]]
        same = True
        for (_, settings, _), found in forked(self._prefix, jobs, self.workers):
            same = same and found is True
            print(f"{name}, {settings['adapter']}: {'the same' if found else 'DIFFERENT'}", flush=True)
        return same

    def _base(self, name: str) -> dict[str, Any]:
        return self._measure(TASKS[name], self.splits[name], base=BASE, model=self._model, scratch=self._folder())

    def _training(self, job: Job, epochs: float = RUNGS[-1]) -> dict[str, Any]:
        name, settings, seed = job
        return self._train(
            TASKS[name], self.splits[name], settings, seed,
            base=BASE, model=self._model, scratch=self._folder(), epochs=epochs,
        )  # fmt: skip

    def _prefix(self, job: Job) -> bool:
        seen = {}
        for epochs in (RUNGS[-1], *EPOCHS[:-1]):
            seen[epochs] = [(rung["step"], rung["bits"]) for rung in self._training(job, epochs)["rungs"]]
        return all(seen[epochs] == seen[RUNGS[-1]][: len(seen[epochs])] for epochs in EPOCHS)

    def _folder(self) -> Path:
        return self._scratch / str(os.getpid())


if __name__ == "__main__":
    main()
