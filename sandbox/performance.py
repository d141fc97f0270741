"""Plays a job: writes all that a real one writes, step by step, and trains nothing."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
from collections.abc import Callable, Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tunewright.domain.job import EvaluationSpec, Job, TrialSpec
from tunewright.domain.outcome import EXIT_CODES, Fault, Item, JobResult, Measurement
from tunewright.domain.paired import looks as parts
from tunewright.domain.trial_event import Checkpointed, Measured, Progressed, Scored, Started, TrialEvent
from tunewright.sandbox.script import FaultRule, ScriptedFault
from tunewright.sandbox.surface import BASE_QUALITY, Surface, is_right

Play = Generator[float, None, int | None]
"""Yields the share of the job that is done; returns the exit code, or None for a job that is killed."""
CODES = {word: code for code, word in EXIT_CODES.items()}
PROGRESS_EVENTS = 20
TOKENS_PER_STEP = 1000
PARAMETERS = 1000


class Performance:
    """One scripted attempt at a job.

    Args:
        job: staged.
        rows: items to make up where the job has no data file.
        faults: the first that strikes decides how it fails.
        asked: whether the job has been asked to stop.
    """

    def __init__(self, job: Job, rows: int, faults: tuple[FaultRule, ...], asked: Callable[[], bool]) -> None:
        self._job = job
        self._items = _rows(job.folder / "in", rows)
        self._asked = asked
        self._struck = job.folder / ".struck"
        self._fault = next((rule.kind for rule in faults if rule.strikes(job.spec)), None)
        if self._fault == "infra" and self._struck.exists():
            self._fault = None

    def play(self) -> Play:
        """The job from its first event to its result."""
        spec = self._job.spec
        return self._evaluate(spec) if isinstance(spec, EvaluationSpec) else self._train(spec)

    def _evaluate(self, spec: EvaluationSpec) -> Play:
        self._write(Started(device="scripted", threads=spec.limits.threads))
        yield 0.0
        if self._fault:
            return self._fail(self._fault, 0, JobResult(status="failed"))
        quality, luck = _model(self._job.folder / "in" / "adapter")
        items = self._scored(quality, luck, len(self._items))
        self._keep(items)
        measured = _measured(items, 0)
        self._write(Progressed(step=1, of=1, tokens=len(self._items) * 10))
        self._write(Measured(measurement=measured, final=True))
        yield 1.0
        tokens = len(self._items) * 10
        return self._end("done", JobResult(status="done", measurement=measured, tokens=tokens, device="scripted"))

    def _train(self, spec: TrialSpec) -> Play:
        total = spec.recipe.stages[-1].optimisation.total_steps(spec.data.train.rows)
        luck = spec.recipe.content_digest
        surface = Surface(spec.recipe, total, luck)
        done = self._resume()
        shown = max(1, math.ceil(total / PROGRESS_EVENTS))
        looks = spec.rungs.looks(spec.recipe, total)
        result = JobResult(status="done", total_steps=total, trainable_parameters=PARAMETERS, device="scripted")
        self._write(Started(device="scripted", threads=spec.limits.threads, resumed_from=done))
        yield done / total
        for step in range(done + 1, total + 1):
            at = {"steps": step, "tokens": step * TOKENS_PER_STEP}
            if self._fault and step == max(1, total // 2):
                return self._fail(self._fault, step, result.model_copy(update=at))
            if self._asked():
                self._checkpoint(step - 1)
                return self._end("paused", result.model_copy(update={**at, "steps": step - 1}))
            if step % shown == 0 or step == total:
                self._write(Progressed(step=step, of=total, loss=surface.loss(step), tokens=at["tokens"]))
            if step in looks:
                rung_rows = min(spec.rungs.rows or len(self._items), len(self._items))
                measured = _measured(self._scored(surface.quality(step), luck, rung_rows), step)
                self._write(Measured(measurement=measured.model_copy(update={"rung": looks[step]})))
                self._checkpoint(step)
            yield step / total
        items = self._scored(surface.quality(total), luck, len(self._items))
        for first, end in pairwise((0, *parts(len(items))[:-1])):
            scores = tuple(item.score for item in items[first:end])
            self._write(Scored(step=total, first=first, of=len(items), scores=scores))
            yield 1.0
            if self._asked():
                at = {"steps": total, "tokens": total * TOKENS_PER_STEP}
                return self._end("paused", result.model_copy(update=at))
        self._keep(items)
        measured = _measured(items, total)
        self._write(Measured(measurement=measured, final=True))
        curve = self._curve(surface, total)
        update = {"measurement": measured, "steps": total, "tokens": total * TOKENS_PER_STEP, "curve_digest": curve}
        return self._end("done", result.model_copy(update={**update, **self._adapter(surface)}))

    def _scored(self, quality: float, luck: str, rows: int) -> list[Item]:
        """The first ``rows`` items."""
        best, worst = (1.0, 0.0) if self._job.spec.task.metric.direction == "max" else (0.0, 1.0)
        items = []
        for name, target in self._items[:rows]:
            right = is_right(name, quality, luck)
            prediction = target if right else "something else"
            items.append(Item(id=name, score=best if right else worst, prediction=prediction, target=target))
        return items

    def _keep(self, items: list[Item]) -> None:
        self._lines("items.jsonl", [item.model_dump_json() for item in items])

    def _fail(self, kind: ScriptedFault, step: int, result: JobResult) -> int | None:
        self._struck.touch()
        if kind == "killed":
            return None
        message = "loss is NaN (scripted)" if kind == "config" else f"a scripted {kind} fault"
        fault = Fault(kind=kind, message=message, step=step)
        return self._end(kind, result.model_copy(update={"status": "failed", "fault": fault}))

    def _resume(self) -> int:
        place = self._job.out / "checkpoint" / "step.json"
        return int(json.loads(place.read_text())["step"]) if place.exists() else 0

    def _checkpoint(self, step: int) -> None:
        place = self._job.out / "checkpoint"
        place.mkdir(exist_ok=True)
        (place / "step.json").write_text(json.dumps({"step": step}))
        self._write(Checkpointed(step=step))

    def _curve(self, surface: Surface, total: int) -> str:
        pairs = [{"step": step, "loss": surface.loss(step)} for step in range(1, total + 1)]
        return self._lines("curve.jsonl", [json.dumps(pair) for pair in pairs])

    def _adapter(self, surface: Surface) -> dict[str, Any]:
        """A folder like PEFT's, whose one tensor holds the quality, so that it can be evaluated later."""
        place = self._job.out / "adapter"
        place.mkdir(exist_ok=True)
        data = struct.pack("<d", surface.quality(surface.total_steps))
        tensors = {"quality": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}
        header = json.dumps({"__metadata__": {"luck": surface.luck}, **tensors}).encode()
        content = struct.pack("<Q", len(header)) + header + data
        (place / "adapter_model.safetensors").write_bytes(content)
        kind = surface.recipe.stages[-1].adapter.kind
        (place / "adapter_config.json").write_text(json.dumps({"peft_type": "SCRIPTED", "kind": kind}))
        return {"adapter_bytes": len(content), "adapter_digest": hashlib.sha256(content).hexdigest()}

    def _lines(self, name: str, lines: list[str]) -> str:
        content = "".join(f"{line}\n" for line in lines).encode()
        (self._job.out / name).write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def _write(self, event: TrialEvent) -> None:
        with (self._job.out / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(event.model_dump_json() + "\n")

    def _end(self, word: str, result: JobResult) -> int:
        status = word if word in ("done", "paused") else "failed"
        result = result.model_copy(update={"status": status})
        (self._job.out / "result.json").write_text(result.model_dump_json(indent=2))
        return CODES[word]


def _measured(items: list[Item], step: int) -> Measurement:
    value = sum(item.score for item in items) / len(items)
    half = 1.96 * math.sqrt(value * (1 - value) / len(items))
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Measurement(value=value, rows=len(items), step=step, seconds=0.0, low=low, high=high)


def play_recording(job: Job, recording: Path, asked: Callable[[], bool]) -> Play:
    """Writes a recorded ``out/`` again, event by event, then its other files."""
    lines = (recording / "events.jsonl").read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        if asked():
            return CODES["paused"]
        with (job.out / "events.jsonl").open("ab") as file:
            file.write(line)
        yield (number + 1) / len(lines)
    kept = shutil.ignore_patterns("events.jsonl", "log.txt", "tmp")
    shutil.copytree(recording, job.out, dirs_exist_ok=True, ignore=kept)
    result = JobResult.model_validate_json((recording / "result.json").read_bytes())
    return CODES[result.fault.kind if result.fault else result.status]


def _rows(folder: Path, made_up: int) -> list[tuple[str, str]]:
    """(id, target) of each item: from the job's data where it has some."""
    for name in ("val.jsonl", "data.jsonl"):
        if (folder / name).exists():
            rows = [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines() if line]
            return [(str(row["id"]), str(row["target"])) for row in rows]
    return [(f"item-{number}", f"target-{number % 7}") for number in range(made_up)]


def _model(adapter: Path) -> tuple[float, str]:
    """Quality and luck of what is evaluated: of the adapter that a scripted training left, else of the base model."""
    weights = adapter / "adapter_model.safetensors"
    if not weights.exists():
        return BASE_QUALITY, "base"
    content = weights.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    (quality,) = struct.unpack_from("<d", content, 8 + length)
    return float(quality), str(header["__metadata__"]["luck"])
