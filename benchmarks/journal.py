"""How long a long study's journal takes to load, and what each of its trials keeps in memory.

    python benchmarks/journal.py [--trials 10000]

The journal is made of the events that studies write, as long as theirs: of five trials one is paused at its first rung
and promoted, one is stopped there, three come to their end. Times are of one thread and are given beside those of the
same lines read by ``json`` alone, since machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.job import CodeIdentity, Rungs
from tunewright.domain.outcome import Completed, JobResult, Measurement, Paused, Pruned, Verdict
from tunewright.domain.proposal import Decision, Forecast, Idea, Plan, Proposal, Range
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Float, Space
from tunewright.domain.task import Brief, DataSource, Metric, TaskSpec

LR = "stages.0.optimisation.lr"
STEP = 1_000
"""Trials between two looks at the memory."""


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a long journal takes to load.")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load is not None:
        print(json.dumps(loaded(given.load)))
        return
    with tempfile.TemporaryDirectory() as folder:
        sizes = range(STEP, given.trials + 1, STEP)
        for trials in sizes:
            write(Path(folder) / f"s{trials}", trials)
        found = {trials: apart(Path(folder) / f"s{trials}") for trials in sizes}
    tell(found)


def tell(found: dict[int, dict[str, float]]) -> None:
    most, least = max(found), min(found)
    one = found[most]
    print(f"{most:,} trials, {one['lines']:,.0f} lines, {one['bytes'] / 2**20:.1f} MiB")
    ratio = one["load_s"] / one["json_s"]
    print(f"load {one['load_s']:.2f} s, the same lines by json {one['json_s']:.2f} s: {ratio:.1f} times")
    print(f"append and fold one event {one['append_us']:.0f} us, of that {one['fsync_us']:.0f} us for the disk")
    steps = sorted(found)
    grown = [(found[b]["held_kib"] - found[a]["held_kib"]) / (b - a) for a, b in pairwise(steps)]
    print("memory kept, KiB a trial, from each 1,000 to the next: " + " ".join(f"{kib:.1f}" for kib in grown))
    held, first, peak = (kib / 1024 for kib in (one["held_kib"], found[least]["held_kib"], one["peak_kib"]))
    print(f"in all {first:.0f} MiB at {least:,} trials, {held:.0f} MiB at {most:,}; peak {peak:.0f} MiB")


def apart(folder: Path) -> dict[str, float]:
    """What a fresh process says of loading the study."""
    done = subprocess.run([sys.executable, __file__, "--load", str(folder)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def loaded(folder: Path) -> dict[str, float]:
    """Loads the study in ``folder`` as a session does, and appends to it."""
    from tunewright.tracking.journal import Journal

    path = folder / "journal.jsonl"
    size, before = path.stat().st_size, _held_kib()
    began = time.process_time()
    with Journal(folder) as journal:
        load_s, held = time.process_time() - began, _held_kib() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        for _ in range(100):
            journal.append(ev.Warned(message="a line"))
        append_s = (time.perf_counter() - began) / 100
    lines = path.read_bytes().splitlines()
    began = time.process_time()
    for line in lines:
        json.loads(line)
    json_s = time.process_time() - began
    began = time.perf_counter()
    with tempfile.NamedTemporaryFile(dir=folder) as scratch:
        for _ in range(100):
            scratch.write(b"x" * 60)
            scratch.flush()
            os.fsync(scratch.fileno())
    fsync_s = (time.perf_counter() - began) / 100
    return {
        "load_s": load_s, "json_s": json_s, "held_kib": held, "peak_kib": peak, "lines": len(lines), "bytes": size,
        "append_us": 1e6 * append_s, "fsync_us": 1e6 * fsync_s,
    }  # fmt: skip


def _held_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError


def write(folder: Path, trials: int) -> None:
    """Makes the journal of a study of so many trials."""
    folder.mkdir()
    with (folder / "journal.jsonl").open("w", encoding="utf-8") as file:
        for one in events(folder.name, trials):
            file.write(one.model_dump_json() + "\n")


def events(name: str, trials: int) -> Iterator[ev.Event]:
    """What such a study writes."""
    recipe = Recipe.model_validate(
        {
            "stages": [
                {
                    "objective": {"kind": "sft"},
                    "adapter": {"kind": "lora", "rank": 8, "alpha": 16},
                    "optimisation": {"lr": 1e-4, "epochs": 5.0},
                }
            ]
        }
    )
    task = TaskSpec(
        model="tiny", sources=(DataSource(path="rows.jsonl", name="rows"),), format="label", input_field="text",
        target_field="label", metric=Metric(name="accuracy"), labels=("a", "b"),
    )  # fmt: skip
    searched = Float(name="lr", path=LR, low=1e-5, high=1e-2, log=True, default=1e-4)
    space = Space(template=recipe.model_dump(mode="json"), dimensions=(searched,))
    budget = Budget(wall_s=1e7, trials=trials)
    plan = Plan(
        task=task, budget=budget, space=space, rungs=Rungs(epochs=(0.5, 1.7)), trials=(trials, trials),
        keep=Cost(), expect=Cost(), memory_gib=1.0,
    )  # fmt: skip
    code = CodeIdentity(version="1", digest="c" * 64)
    yield ev.StudyCreated(study=name, brief=Brief(text="a long study"), options=ev.StudyOptions(), code=code)
    yield ev.SessionOpened(pid=1, host="h")
    yield ev.Understood(task=task, budget=budget)
    yield ev.PlanProposed(plan=plan)
    yield ev.Decided(decision=Decision(target="plan", action="approve", by="policy", binds=plan.binding))
    for number in range(trials):
        yield from trial(number, space.build({"lr": 1e-5 * 1.0005**number}))


def trial(number: int, recipe: Recipe) -> Iterator[ev.Event]:
    """One trial's events."""
    id, paused, stopped = f"t{number}", number % 5 == 1, number % 5 == 2
    cost = Cost(wall_s=28.1 + number % 7 / 3, device_s=28.1 + number % 7 / 3)
    seconds, memory = (
        Range(expected=28.11286257898529, low=15.066561, high=53.700401),
        Range(expected=0.59, low=0.55, high=0.67),
    )
    reason = f"tree: lora again ({number} of {number + 3}); near t{max(0, number - 4)} (0.491), lr higher, rank lower"
    idea = Idea(recipe=recipe, origin="sampler", reason=reason, parent=f"t{max(0, number - 4)}")
    binding = f"{number:064x}"
    forecast = Forecast(seconds=seconds, memory_gib=memory, cost=cost)
    yield ev.Proposed(proposals=(Proposal(id=id, idea=idea, forecast=forecast, binding=binding),))
    yield ev.Decided(
        decision=Decision(target=id, action="approve", by="policy", reason="review mode is never", binds=binding)
    )
    yield ev.JobLaunched(job=id, role="trial", binding=binding, reserved=cost, proposal=id)
    yield ev.Tracked(job=id, run_id=f"{number:032x}")
    first = Measurement(value=0.0833333, rows=96, step=18, rung=0, seconds=0.41, low=0.043, high=0.156)
    yield ev.JobMeasured(job=id, measurement=first)
    why = "0.0833 at step 18; it beats the best at its end with a chance of 5 %, less than 10 %"
    if paused or stopped:
        yield ev.JobSteered(job=id, action="pause" if paused else "stop", reason=why)
    if stopped:
        yield ev.JobEnded(job=id, outcome=Pruned(reason=why, last=first, cost=cost, result=_result(number, None)))
        yield ev.Reflected(trials=(id,))
        return
    if paused:
        yield ev.JobEnded(
            job=id, outcome=Paused(reason=why, cost=cost, waits="promotion", result=_result(number, None))
        )
        yield ev.JobPromoted(job=id, reason="by now it beats the best at its end with a chance of 31 %")
        yield ev.JobLaunched(job=id, role="trial", binding=binding, reserved=cost, proposal=id, attempt=2)
    yield ev.JobMeasured(job=id, measurement=first.model_copy(update={"step": 55, "rung": 1, "value": 0.26}))
    score = 0.4 + number % 97 / 1000
    final = Measurement(value=score, rows=112, step=164, seconds=0.48, low=score - 0.09, high=score + 0.09)
    yield ev.JobEnded(job=id, outcome=Completed(result=_result(number, final), cost=cost))
    verdict = Verdict(
        trial=id, against="t0", answer="undecided", gain=0.00892857142, low=-0.0251, high=0.0494, rows=112,
        method="exact McNemar test, Tango interval",
    )  # fmt: skip
    yield ev.Judged(verdict=verdict, incumbent="t0")
    yield ev.Reflected(trials=(id,))


def _result(number: int, final: Measurement | None) -> JobResult:
    return JobResult(
        status="done" if final else "paused", measurement=final, steps=164, total_steps=164, tokens=134_061,
        train_s=21.22655134699926, eval_s=1.2496448589990905, setup_s=0.19704848200126435,
        peak_memory_gib=1.328460693359375, trainable_parameters=19_456, adapter_bytes=82_480,
        adapter_digest=f"{number:064x}", curve_digest=f"{number + 1:064x}", precision="bf16",
    )  # fmt: skip


if __name__ == "__main__":
    main()
