"""How long a trial takes to be ready to train: from the fork server, and with an interpreter of its own.

From ``start()`` to the job's first event, which it writes when its libraries are imported and its specification is
read. The fork server's own start is paid by the first trial and is not in the warm times. Aim: under a second.

    python benchmarks/warm_start.py [--repeats 3]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tunewright.domain.job import (
    CodeIdentity,
    DataIdentity,
    Job,
    Limits,
    ModelIdentity,
    SplitIdentity,
    TrialSpec,
)
from tunewright.domain.protocols import Sandbox
from tunewright.domain.recipe import Optimisation, Recipe, Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.domain.trial_event import Started
from tunewright.sandbox.registry import open_sandbox
from tunewright.sandbox.staging import stage
from tunewright.tools.models.resolve import resolve

PRELOAD = ("tunewright.tools.training.preload",)
AIM_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats: int = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as scratch:
        jobs = make_jobs(Path(scratch))
        with open_sandbox("process", {"fork-server": "off"}) as sandbox:
            cold = [seconds_to_ready(sandbox, next(jobs)) for _ in range(repeats)]
        with open_sandbox("process", preload=PRELOAD) as sandbox:
            first, *warm = [seconds_to_ready(sandbox, next(jobs)) for _ in range(repeats + 1)]
    slow, fast = statistics.median(cold), statistics.median(warm)
    print(f"an interpreter of its own: {slow:.2f} s; first fork, with the server's start: {first:.2f} s")
    print(f"later forks: {fast:.3f} s (aim {AIM_S:g} s); ratio cold / warm {slow / fast:.0f}")


def seconds_to_ready(sandbox: Sandbox, job: Job) -> float:
    """From ``start()`` to the job's own word that it is ready. The job then runs to its end."""
    begun = time.time()
    handle = sandbox.start(job)
    ready = next(event.at for event in handle.events() if isinstance(event, Started))
    ended = handle.wait()
    if ended is None or ended.code != 0:
        raise SystemExit(f"the trial failed: {ended}")
    return ready - begun


def make_jobs(scratch: Path) -> Iterator[Job]:
    """Trainings of one step on the tiny model."""
    found = resolve("tiny", cache=scratch / "cache")
    rows = [
        {"id": f"{i:016x}", "source": "a", "input": f"word {i}", "target": "ab"[i % 2], "meta": {}} for i in range(16)
    ]
    data = scratch / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    split = SplitIdentity(digest=hashlib.sha256(data.read_bytes()).hexdigest(), rows=len(rows))
    number = 0
    while True:
        spec = make_spec(f"t{number}", found.identity, split)
        folder = stage(scratch / spec.id, spec, {"train.jsonl": data, "val.jsonl": data})
        yield Job(spec=spec, folder=folder, model=found.path)
        number += 1


def make_spec(name: str, model: ModelIdentity, split: SplitIdentity) -> TrialSpec:
    return TrialSpec(
        id=name,
        study="warm-start",
        task=TaskSpec(
            model="tiny",
            sources=(DataSource(path="a", name="a"),),
            format="label",
            input_field="input",
            target_field="target",
            metric=Metric(name="accuracy"),
            labels=("a", "b"),
        ),
        model=model,
        limits=Limits(wall_s=300, memory_gib=4, threads=2),
        code=CodeIdentity(version="0", digest="0"),
        sandbox="process",
        recipe=Recipe(stages=(Stage(optimisation=Optimisation(lr=1e-3, steps=1)),)),
        data=DataIdentity(train=split, val=split, test=split),
    )


if __name__ == "__main__":
    main()
