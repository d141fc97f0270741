"""Speed and peak memory of objectives against TRL's trainer of the same settings, and of PPO against a plain loop.

    python benchmarks/objectives.py [--only NAME ...] [--turns 7] [--quick] [--keep FILE]

One model of 27M parameters, LoRA, fp32, no dropout, the same rows in batches of as many sequences. Each side is a
process of its own, which takes steps when it is told to; turns go to both in alternation, and their medians are
compared. Where ours reads a reference once before the first step and TRL in each step, that time is spread over the
steps of its one epoch, the shortest over which it could be; where TRL too computes it before, it is in neither.
Memory is the peak of the whole process, libraries included. Ours is a trial as a sandbox runs it, with its curve, its
events and its evaluation. ``--quick`` tells that all of it runs, and nothing of speed or memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from objective_case import GROUP, PAYS, SHAPE, Case, Order, Side, make_model

SPEED, MEMORY, ALPHATOKEN = 0.95, 1.0, 3.5
"""Aims: at least, at most, and seconds of a step of AlphaToken over supervised training's at most."""
WARM = 2
SMALL = {**SHAPE, "vocab_size": 2048, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
HERE = Path(__file__).parent


def pairs(kind: str, trainer: str, ours: Mapping[str, Any] | None = None, **theirs: Any) -> tuple[Side, Side]:
    """An objective of ours and TRL's trainer of it."""
    return Side("ours", {"kind": kind, **(ours or {})}), Side(trainer, theirs)


def rolling(kind: str, trainer: str, ours: Mapping[str, Any] | None = None, **theirs: Any) -> tuple[Side, Side]:
    """The same with answers of its own."""
    shared = {"rewards": PAYS, "group": GROUP}
    return Side("ours", {"kind": kind, **shared, **(ours or {})}), Side(trainer, {"num_generations": GROUP, **theirs})


PPO = {
    "group": GROUP, "iterations": 4, "beta": 0.05, "epsilon": 0.2, "gamma": 1.0, "lam": 0.95, "value_weight": 0.1,
}  # fmt: skip
PLAIN_DAPO = {"overlong": 0.0, "mask_truncated": False, "epsilon_high": 0.28}
"""Without what takes answers that did not end out of the loss: here none ends."""
CASES = [
    Case("sft", *pairs("sft", "SFT", completion_only_loss=True)),
    Case("dft", *pairs("dft", "SFT", completion_only_loss=True, loss_type="dft")),
    Case("dpo", *pairs("dpo", "DPO"), "preference", 4),
    Case("dpo, precomputed", *pairs("dpo", "DPO", precompute_ref_log_probs=True), "preference", 4),
    Case("orpo", *pairs("orpo", "ORPO", remove_unused_columns=False), "preference", 4),
    Case(
        "simpo",
        *pairs(
            "simpo", "CPO", loss_type="simpo", cpo_alpha=0.0, simpo_gamma=0.5, beta=2.0, remove_unused_columns=False
        ),
        "preference",
        4,
    ),
    Case("kto", *pairs("kto", "KTO"), "judged", 8),
    Case("kto, precomputed", *pairs("kto", "KTO", precompute_ref_log_probs=True), "judged", 8),
    Case("reward", *pairs("reward", "Reward"), "preference", 4),
    Case("grpo", *rolling("grpo", "GRPO", loss_type="grpo"), rows=2),
    Case(
        "grpo, beta 0.04",
        *rolling("grpo", "GRPO", {"beta": 0.04}, loss_type="grpo", beta=0.04, use_bias_correction_kl=False),
        rows=2,
    ),
    Case("dapo", *rolling("dapo", "GRPO", PLAIN_DAPO, loss_type="dapo", epsilon_high=0.28), rows=2),
    Case("rloo", *rolling("rloo", "RLOO"), rows=2),
    Case("ppo", Side("ours", {"kind": "ppo", "rewards": PAYS, **PPO}), Side("ppo", PPO), rows=2, steps=4),
    Case("alphatoken", Side("ours", {"kind": "alphatoken"}), Side("ours", {"kind": "sft"}), rows=16, kept=400),
    Case("alphatoken, batch 8", Side("ours", {"kind": "alphatoken"}), Side("ours", {"kind": "sft"}), kept=400),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[case.name for case in CASES], help="names of cases")
    parser.add_argument("--turns", type=int, default=7, help="that each side takes, beside two that are not counted")
    parser.add_argument("--quick", action="store_true", help="a model of 0.3M parameters and three turns: does it run?")
    parser.add_argument("--keep", type=Path, help="a file that every time is written to")
    given = parser.parse_args()
    unknown = set(given.only) - {case.name for case in CASES}
    if unknown:
        parser.error(f"no case is called {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CASES)}")
    turns, kept = 3 if given.quick else given.turns, {}
    columns = ("objective", "against", "speed", "by CPU time", "memory", "ours s", "MiB", "theirs s", "MiB", "aim")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    with tempfile.TemporaryDirectory() as scratch:
        model = make_model(Path(scratch) / "model", SMALL if given.quick else SHAPE)
        for case in CASES:
            if case.name in given.only:
                kept[case.name] = found = compare(case, model, turns, Path(scratch))
                print(line(case, found), flush=True)
                if given.keep:
                    given.keep.write_text(json.dumps(kept, indent=1))


def compare(case: Case, model: Path, turns: int, scratch: Path) -> dict[str, dict[str, Any]]:
    """Of each side its seconds a turn, in the order taken, and what it said at the end."""
    total = (WARM + turns + 1) * case.steps
    sides = {}
    for name, side in (("ours", case.ours), ("theirs", case.theirs)):
        folder = tempfile.mkdtemp(dir=scratch)
        sides[name] = Process(Order(case, side, total, str(model), folder))
        sides[name].heard()  # set up, one after the other
    times: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for turn in range(WARM + turns):
        for name, process in sides.items():
            process.tell()
            spent = process.heard()
            if turn >= WARM:  # the first steps also allocate
                times[name].append(spent)
    found: dict[str, dict[str, Any]] = {}
    for name, process in sides.items():
        process.tell()
        found[name] = {**process.heard(), "turns": times[name], "steps": total}
        process.close()
        apart = "precompute_ref_log_probs" in case.theirs.settings  # then neither side's step has it
        once = {} if apart else found[name].get("reference", {})
        for clock in ("seconds", "cpu"):
            median = statistics.median(one[clock] for one in times[name])
            found[name][clock] = median + once.get(clock, 0.0) / total * case.steps
    return found


def line(case: Case, found: Mapping[str, Mapping[str, Any]]) -> str:
    """A row of the table."""
    ours, theirs = found["ours"], found["theirs"]
    speed, busy = (theirs[clock] / ours[clock] for clock in ("seconds", "cpu"))
    memory = ours["peak_mib"] / theirs["peak_mib"]
    against = {"ppo": "a plain loop", "ours": "sft"}.get(case.theirs.by, f"{case.theirs.by}Trainer")
    holds = speed >= SPEED and memory <= MEMORY if case.theirs.by != "ours" else 1 / speed <= ALPHATOKEN
    each = " | ".join(f"{one['seconds']:.2f} | {one['peak_mib']:,.0f}" for one in (ours, theirs))
    said = "holds" if holds else "missed"
    return f"| {case.name} | {against} | {speed:.2f} | {busy:.2f} | {memory:.2f} | {each} | {said} |"


class Process:
    """A side at work."""

    def __init__(self, order: Order) -> None:
        # As the process sandbox has it, for both sides: threads that wait sleep soon.
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "GOMP_SPINCOUNT": "1000"}
        self.log = Path(order.folder) / "log.txt"
        self.child = subprocess.Popen(
            [sys.executable, str(HERE / "objective_side.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
            env=environment,
        )
        self.tell(order.dump())

    def tell(self, what: str = "") -> None:
        """Sends a line."""
        assert self.child.stdin is not None
        self.child.stdin.write(what + "\n")
        self.child.stdin.flush()

    def heard(self) -> dict[str, Any]:
        """The next line that it says."""
        assert self.child.stdout is not None
        said = self.child.stdout.readline()
        if not said:
            raise SystemExit(f"a side has ended early:\n{self.log.read_text()[-3000:]}")
        found: dict[str, Any] = json.loads(said)
        return found

    def close(self) -> None:
        """Waits for its end."""
        self.child.communicate()


if __name__ == "__main__":
    main()
