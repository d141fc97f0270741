"""Makes the stored tables of what ``make_table.py`` has done so far.

python benchmarks/search/pack.py [--tasks noun ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from grid import AXES, CELLS, DEFAULT, EPOCHS, MIXES, OBJECTIVES, RUNGS, SAME_SEEDS, SEEDS, TRAININGS
from make_table import SHARDS, kept_splits, records
from table import ARRAYS, FAULTS, FOLDER, RUNG_ARRAYS
from table import TASKS as NAMES
from task import SOURCES, TASKS
from texts import WORK

EXCEEDING = 0.12
"""Share of the trainings that exceed a task's memory limit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=list(NAMES))
    FOLDER.mkdir(exist_ok=True)
    for name in parser.parse_args().tasks:
        if (SHARDS / f"{name}.jsonl").exists():
            pack(name)


def pack(name: str) -> None:
    """Writes one task's table and says how much of it there is."""
    splits = kept_splits()[name]
    rows = {split: len(of) for split, of in splits.items()}
    base = json.loads((SHARDS / f"{name}.base.json").read_text(encoding="utf-8"))
    arrays = {
        **_empty("", (len(SEEDS), len(TRAININGS)), rows["val"]),
        **_empty("same_", (len(SAME_SEEDS),), rows["val"]),
        "base_bits": np.frombuffer(bytes.fromhex(base.pop("bits")), np.uint8),
    }
    messages: dict[str, str] = {}
    for record in records(name):
        settings, seed = {axis: record[axis] for axis in AXES}, record["seed"]
        if seed in SEEDS:
            _fill(arrays, messages, "", (SEEDS.index(seed), TRAININGS.index(settings)), record)
        elif settings == DEFAULT and seed in SAME_SEEDS:
            _fill(arrays, messages, "same_", (SAME_SEEDS.index(seed),), record)
    _fill_sizes(arrays)
    there = arrays["done"]
    about = {
        **_space(),
        "task": name,
        "use": TASKS[name].use,
        "sister": TASKS[name].sister,
        "labels": sorted(TASKS[name].labels),
        "rows": rows,
        "base": base,
        "memory_limit_gib": round(float(np.quantile(arrays["memory_gib"][there], 1 - EXCEEDING)), 4)
        if there.any()
        else 0,
        "messages": messages,
        "trainings": int(there.sum() + arrays["same_done"].sum()),
        "commit": _commit(),
    }
    np.savez_compressed(FOLDER / f"{name}.npz", about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    size = (FOLDER / f"{name}.npz").stat().st_size
    same = arrays["same_done"]
    print(f"{name}: {there.sum()} of {there.size} and {same.sum()} of {same.size}, {size / 2**20:.2f} MiB")


def _space() -> dict[str, Any]:
    return {
        "axes": {**AXES, "epochs": EPOCHS},
        "adapters": {cell.name: cell.adapter for cell in CELLS},
        "lrs": {cell.name: cell.lrs for cell in CELLS},
        "mixes": MIXES,
        "objectives": OBJECTIVES,
        "sources": SOURCES,
        "rungs": RUNGS,
        "seeds": SEEDS,
        "default": DEFAULT,
        "same_seeds": SAME_SEEDS,
    }


def _empty(prefix: str, shape: tuple[int, ...], items: int) -> dict[str, Any]:
    made = {prefix + name: np.zeros(shape, kind) for name, kind in ARRAYS.items()}
    for name, kind in RUNG_ARRAYS.items():
        made[prefix + name] = np.full((*shape, len(RUNGS)), np.nan if name == "score" else 0, kind)
    made[f"{prefix}bits"] = np.zeros((*shape, len(RUNGS), (items + 7) // 8), np.uint8)
    return made


def _fill(arrays: dict[str, Any], messages: dict[str, str], prefix: str, at: tuple[int, ...], record: Any) -> None:
    fault = record.get("fault")
    flat = {**record, "done": True, "fault_kind": 0, "fault_step": 0, "adapter_bytes": record.get("adapter_bytes", 0)}
    if fault is not None:
        flat |= {"fault_kind": FAULTS.index(fault["kind"]), "fault_step": fault["step"]}
        messages[prefix + ",".join(map(str, at))] = fault["message"]
    for name in ARRAYS:
        arrays[prefix + name][at] = flat[name]
    for number, rung in enumerate(record["rungs"]):
        for name in RUNG_ARRAYS:
            arrays[prefix + name][(*at, number)] = rung[name]
        arrays[f"{prefix}bits"][(*at, number)] = np.frombuffer(bytes.fromhex(rung["bits"]), np.uint8)


def _fill_sizes(arrays: dict[str, Any]) -> None:
    """Trainings that failed in the end have no adapter, and those recipes of theirs that did not get that far have."""
    sizes = arrays["adapter_bytes"].reshape(len(SEEDS), len(CELLS), -1)
    for cell in range(len(CELLS)):
        own = sizes[:, cell]
        own[own == 0] = own.max()


def _commit() -> str:
    if (WORK / "commit").exists():  # of the copy of the sources that the trainings are made with
        return (WORK / "commit").read_text(encoding="ascii").strip()
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
