"""What a trial saves that shares its first stage with an earlier one: of that stage's time, by the clock.

    python benchmarks/stage_cache.py [--turns 3] [--quick]

Trials of a recipe ``sft > dpo`` in the process sandbox, with a study's own cache of stages. One trial fills the cache;
another, of the same first stage and another second one, is then run without the cache and with it in turns. Aim: what
the cache saves is at least 90 % of what the stage took.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from objective_case import SHAPE, Case, Side, make_model, recipe_of, rows_of, specification

from tunewright.agents.stage_cache import StageCache
from tunewright.domain.job import Job, TrialSpec
from tunewright.domain.outcome import JobResult
from tunewright.domain.protocols import Sandbox
from tunewright.sandbox.registry import open_sandbox
from tunewright.sandbox.staging import stage

PRELOAD = ("tunewright.tools.training.preload",)
STEPS, AFTER, BATCH, AIM = 24, 4, 8, 0.9
"""Steps of the first stage and of the second, and rows of each."""
SMALL = {**SHAPE, "vocab_size": 2048, "hidden_size": 128, "num_hidden_layers": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a small model")
    given = parser.parse_args()
    shape = SMALL if given.quick else SHAPE
    with tempfile.TemporaryDirectory() as scratch, open_sandbox("process", preload=PRELOAD) as sandbox:
        study = Study(Path(scratch), shape, sandbox)
        study.run("first", beta=0.1, shared=False)
        times: dict[bool, list[float]] = {False: [], True: []}
        stages = []
        for turn in range(given.turns):
            for shared, seconds_of in times.items():
                seconds, result = study.run(f"t{turn}{shared:d}", beta=0.2, shared=shared)
                seconds_of.append(seconds)
                if result.shared_steps != STEPS * shared:
                    raise SystemExit(f"{result.shared_steps} steps were shared, not {STEPS * shared}")
                if shared:
                    stages.append(result.shared_s)
    whole, rest, took = (statistics.median(each) for each in (times[False], times[True], stages))
    print(f"a trial without the cache {whole:.1f} s, with it {rest:.1f} s; its first stage takes {took:.1f} s")
    print(f"saved: {(whole - rest) / took:.0%} of the stage (aim: at least {AIM:.0%})")


class Study:
    """A folder of trials and their cache."""

    def __init__(self, folder: Path, shape: dict[str, Any], sandbox: Sandbox) -> None:
        self.folder, self.sandbox, self.cache = folder, sandbox, StageCache(folder)
        self.model = make_model(folder / "model", shape)
        self.words = shape["vocab_size"]

    def run(self, name: str, *, beta: float, shared: bool) -> tuple[float, JobResult]:
        """A trial's seconds and its result; what it leaves is filed.

        Args:
            beta: of the second stage.
            shared: whether it is given what the cache has.
        """
        spec, data = self.specified(name, beta), self.folder / "data"
        inputs = {f"{split}.jsonl": data / f"{split}.jsonl" for split in ("train", "val")}
        began = time.perf_counter()
        folder = stage(self.folder / name, spec, inputs | (self.cache.inputs(spec) if shared else {}))
        ended = self.sandbox.start(Job(spec, folder, self.model)).wait()
        if ended is None or ended.code != 0:
            raise SystemExit(f"the trial failed: {ended}")
        self.cache.collect(spec, folder / "out")
        seconds = time.perf_counter() - began
        return seconds, JobResult.model_validate_json((folder / "out" / "result.json").read_text())

    def specified(self, name: str, beta: float) -> TrialSpec:
        """A trial of two stages."""
        none = Side("ours", {})
        answers, paired = (Case(form, none, none, form) for form in ("completion", "preference"))
        rows = rows_of(answers, STEPS * BATCH, self.words)
        pairs = [
            {**row, "source": "b", "id": f"b{row['id'][1:]}"} for row in rows_of(paired, AFTER * BATCH, self.words)
        ]
        stages = [
            recipe_of({"kind": "sft"}, BATCH, STEPS),
            {**recipe_of({"kind": "dpo", "beta": beta}, BATCH, AFTER), "carry": "continue"},
        ]
        return specification(
            "completion", rows + pairs, rows[:4], stages, self.folder / "data", name=name, others=[("b", "preference")]
        )


if __name__ == "__main__":
    main()
