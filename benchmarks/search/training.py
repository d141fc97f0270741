"""One training of the table, by the code that a sandbox runs, and what is kept of it."""

from __future__ import annotations

import ctypes
import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from grid import RUNGS, Settings, recipe
from task import Task, as_jsonl, data_identity, task_spec

from tunewright.domain.job import CodeIdentity, EvaluationSpec, Limits, ModelIdentity, Rungs, TrialSpec
from tunewright.domain.outcome import Item, JobResult, Measurement
from tunewright.tools.contract import Output, classify
from tunewright.tools.evaluation import __main__ as evaluation
from tunewright.tools.training.progress import Progress
from tunewright.tools.training.stop import Stop
from tunewright.tools.training.trial import prepare, run_trial

Splits = dict[str, list[dict[str, Any]]]


@dataclass
class Recorded(Progress):
    """Keeps of every measurement what the job's contract has no place for: each item, and processor time."""

    rungs: list[dict[str, Any]] = field(default_factory=list)
    measured_s: float = 0.0
    """Processor time of all measurements."""
    ready_s: float = 0.0
    """Processor time before the first step."""
    stepping_kib: int = 0
    """Resident set before the first step."""
    trained_kib: int = 0
    """Resident set at its highest between the first step and the first measurement."""

    def ready(self) -> None:
        """The set-up is over; only the first call counts."""
        if self.setup_s is None:
            self.ready_s = time.process_time()
            _forget_peak()
            self.stepping_kib = _status("VmRSS")
        super().ready()

    def measure(self, model: Any, *, final: bool) -> tuple[Measurement, list[Item]]:
        """As ever, and kept."""
        self.note_memory()
        began = time.process_time()
        found, items = super().measure(model, final=final)
        took = time.process_time() - began
        self.rungs.append({
            "step": self.counters.step,
            "score": found.value,
            "bits": _bits(item.score for item in items),
            "tokens": self.counters.tokens,
            "train_s": round(began - self.ready_s - self.measured_s, 4),
            "measure_s": round(took, 4),
        })  # fmt: skip
        self.measured_s += took
        return found, items

    def note_memory(self) -> None:
        """Of training alone: a measurement takes more, and the process keeps what it took."""
        if self.stepping_kib and not self.trained_kib:
            self.trained_kib = _status("VmHWM")

    @property
    def memory_gib(self) -> float:
        """All weights, and what the steps added to the process: gradients, the optimiser's state, activations."""
        own = self.spec.recipe.stages[0].adapter.kind != "full"
        weights = self.spec.model.parameters + (self.trainable if own else 0)
        return weights * 4 / 2**30 + max(0, self.trained_kib - self.stepping_kib) / 2**20


def train(
    task: Task, splits: Splits, settings: Settings, seed: int, *, base: Path, model: ModelIdentity, scratch: Path,
    epochs: float = RUNGS[-1],
) -> dict[str, Any]:  # fmt: skip
    """Trains in this process, which should be a fresh one, and gives what is kept of it.

    Args:
        base: the base's directory.
        model: its identity.
        scratch: the job's folder; it is gone afterwards.
    """
    (scratch / "in").mkdir(parents=True)
    for name, rows in splits.items():
        (scratch / "in" / f"{name}.jsonl").write_text(as_jsonl(rows), encoding="utf-8")
    spec = TrialSpec(
        **_common(task, model),
        recipe=recipe(settings, seed, epochs),
        data=data_identity(splits),
        rungs=Rungs(epochs=RUNGS[:-1]),
    )
    output = Output(scratch)
    progress = Recorded(spec, output, Stop(), time.perf_counter(), prepare(spec.limits))
    kept: dict[str, Any] = {}
    try:
        result = run_trial(progress, scratch, base)
        kept["adapter_bytes"] = result.adapter_bytes
    except Exception as error:  # as the job's own entry point records it
        fault = classify(error, progress.counters.step)
        kept["fault"] = {"kind": fault.kind, "step": fault.step, "message": fault.message}
    finally:
        output.close()
        shutil.rmtree(scratch, ignore_errors=True)
    progress.note_memory()
    return {
        **settings,
        "seed": seed,
        "rungs": progress.rungs,
        "setup_s": round(progress.ready_s, 4),
        "process_s": round(time.process_time(), 4),
        "steps": progress.counters.step,
        "memory_gib": round(progress.memory_gib, 5),
        "process_gib": round(_status("VmHWM") / 2**20, 5),
        "trainable": progress.trainable,
        **kept,
    }


def measure_base(task: Task, splits: Splits, *, base: Path, model: ModelIdentity, scratch: Path) -> dict[str, Any]:
    """The untouched base on the task, by the evaluation job; as ``train``."""
    (scratch / "in").mkdir(parents=True)
    (scratch / "in" / "data.jsonl").write_text(as_jsonl(splits["val"]), encoding="utf-8")
    spec = EvaluationSpec(
        **_common(task, model), split="val", data=data_identity(splits).val, precision="fp32",
    )  # fmt: skip
    (scratch / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
    code = evaluation.main([str(scratch), "--model", str(base)])
    result = JobResult.model_validate_json((scratch / "out" / "result.json").read_text(encoding="utf-8"))
    if code or result.measurement is None:
        raise SystemExit(f"the base cannot be measured: {result.fault}")
    items = [json.loads(line) for line in (scratch / "out" / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    shutil.rmtree(scratch, ignore_errors=True)
    return {
        "score": result.measurement.value,
        "bits": _bits(item["score"] for item in items),
        "measure_s": result.eval_s,
        "tokens": result.tokens,
        "forward_tokens_per_s": result.forward_tokens_per_s,
        "process_gib": result.peak_memory_gib,
    }


def _common(task: Task, model: ModelIdentity) -> dict[str, Any]:
    return {
        "id": "t",
        "study": "search-benchmark",
        "task": task_spec(task),
        "model": model,
        "limits": Limits(wall_s=600, memory_gib=4, threads=1),
        "code": CodeIdentity(version="0", digest="0"),
        "sandbox": "process",
    }


def _bits(scores: Iterable[float]) -> str:
    """Eight items a byte, in hexadecimal digits."""
    return np.packbits([score == 1.0 for score in scores]).tobytes().hex()


def _forget_peak() -> None:
    """Gives freed memory back to the system, and lets the resident set's peak begin anew."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    """A line of the process's status, in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
