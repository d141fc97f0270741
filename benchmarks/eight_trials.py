"""Eight trials by tunewright against eight runs of a plain TRL script of the same recipes: wall time and memory.

The study searches LoRA and its kin on one data file; the plain script then trains each trial's own recipe for as
many steps, one process a run, as a sweep by hand would. The study's time is everything from its first event to its
last: base model, search, MLflow, rungs, per-item accuracy of every trial, confirmation, sealed test. Aims: wall time
at most 0.9, peak memory of a trial at most 1.0 of the script's.

    python benchmarks/eight_trials.py [--model tiny] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tunewright as tw
from tunewright.app.wiring import find_model
from tunewright.domain.event import StudyOptions
from tunewright.domain.outcome import Completed
from tunewright.domain.study import Study
from tunewright.settings import Settings

WORDS = ["amber", "brook", "cedar", "delta", "ember", "flint", "grove", "heath", "inlet", "jasper"]
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    times, memories = [], []
    for repeat in range(given.repeats):
        with tempfile.TemporaryDirectory() as scratch:
            ours, theirs, memory = once(Path(scratch), given.model, repeat)
        times.append(ours / theirs)
        memories.append(memory)
        print(f"run {repeat + 1}: {ours:.1f} s against {theirs:.1f} s: {ours / theirs:.2f}; memory {memory:.2f}")
    print(f"median of {given.repeats}: wall time {statistics.median(times):.2f} (aim 0.9), "
          f"peak memory {statistics.median(memories):.2f} (aim 1.0)")  # fmt: skip


def once(scratch: Path, model: str, seed: int) -> tuple[float, float, float]:
    """(our seconds, the script's seconds, our peak memory over the script's)."""
    cache = Path(os.environ.get("TUNEWRIGHT_CACHE", "~/.cache/tunewright")).expanduser()
    settings = Settings(home=scratch / "home", cache=cache)
    rows = scratch / "rows.jsonl"
    rows.write_text("".join(json.dumps(row(i)) + "\n" for i in range(600)))
    found = find_model(model, settings, print)
    brief = (
        f"Teach {model} to label {rows} (field label). Maximise accuracy. Try lora, dora and rslora. "
        "At most 3 hours and 8 trials."
    )
    options = StudyOptions(review="never", pruner="none", seed=seed)
    began = time.perf_counter()
    summary = tw.run(brief, options=options, settings=settings)
    ours = time.perf_counter() - began
    study = tw.load(summary.study, settings=settings)
    plain = [by_hand(study, job.id, scratch, found.path, settings) for job in study.trials]
    mine = [job.outcome.result.peak_memory_gib for job in study.trials if isinstance(job.outcome, Completed)]
    memory = statistics.median(mine) / statistics.median(run["peak_memory_gib"] for run in plain)
    return ours, sum(run["seconds"] for run in plain), memory


def row(i: int) -> dict[str, str]:
    first, second = WORDS[i % 10], WORDS[(i * 7 + 3) % 10]
    return {"text": f"{first} then {second} {i}", "label": "first" if first < second else "second"}


def by_hand(study: Study, trial: str, scratch: Path, model: Path, settings: Settings) -> dict[str, float]:
    """Runs the plain script on the trial's recipe; its seconds are taken from outside, start-up included."""
    outcome = study.jobs[trial].outcome
    assert isinstance(outcome, Completed) and study.task is not None
    recipe = study.recipe_of(trial).recipe.model_dump(mode="json") | {
        "steps": outcome.result.total_steps,
        "precision": outcome.result.precision,
        "prompt": study.task.prompt,
    }
    written = scratch / f"{trial}.json"
    written.write_text(json.dumps(recipe))
    command = [sys.executable, str(HERE / "plain_trl.py"), "--model", str(model), "--recipe", str(written)]
    command += ["--data", str(settings.studies / study.name / "data"), "--out", str(scratch / "plain" / trial)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    said: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return said | {"seconds": seconds}


if __name__ == "__main__":
    main()
