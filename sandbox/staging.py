"""Makes a job's folder: the specification and the inputs, read-only, and a place for what the job writes."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tunewright.domain.errors import SandboxError, boundary
from tunewright.domain.job import EvaluationSpec, Job, TrialSpec
from tunewright.domain.outcome import JobResult
from tunewright.sandbox.record import Record
from tunewright.sandbox.strays import sweep
from tunewright.sandbox.tail import Tail


def stage(folder: Path, spec: TrialSpec | EvaluationSpec, inputs: Mapping[str, Path]) -> Path:
    """Makes ``folder`` ready for a sandbox, or checks that it already is. May be called again.

    Inputs are hard links where the file system allows, so a source becomes read-only too: what a study has frozen
    stays frozen. What an earlier attempt left in ``out/`` is kept if it can be gone on from (a checkpoint, a finished
    stage) or is a finished result, and removed otherwise.

    Args:
        folder: the job's folder; made if it is not there.
        spec: written to ``spec.json``.
        inputs: name in ``in/`` -> file or directory.

    Returns:
        ``folder``.

    Raises:
        SandboxError: the folder holds another specification or other inputs, an input is missing, or the disk refuses.
    """
    text = spec.model_dump_json(indent=2) + "\n"
    written = folder / "spec.json"
    with boundary(SandboxError, f"make the folder of job '{spec.id}'", "check that the disk has room and is writable"):
        if written.exists() and written.read_text(encoding="utf-8") != text:
            raise SandboxError(
                f"the folder of job '{spec.id}' holds another specification than the one to be launched",
                f"a job's specification never changes; move '{folder}' away to start over",
            )
        (folder / "in").mkdir(parents=True, exist_ok=True)
        for name, source in inputs.items():
            _place(source, folder / "in" / name, spec.id)
        _ready_out(folder / "out")
        if not written.exists():
            fresh = folder / ".spec.json"
            fresh.write_text(text, encoding="utf-8")
            fresh.chmod(0o444)
            fresh.replace(written)
    return folder


def begin(job: Job) -> Tail:
    """Clears what an earlier attempt said of its end, and gives a reader that starts after its events.

    Raises:
        SandboxError: the folder was not staged.
    """
    if not (job.folder / "spec.json").is_file() or not job.out.is_dir():
        raise SandboxError(
            f"the folder of job '{job.spec.id}' is not staged", f"no spec.json and out/ in '{job.folder}'"
        )
    with boundary(SandboxError, f"clear the earlier attempt of job '{job.spec.id}'"):
        Record.of(job.folder).clear()
        sweep(job.out)
        (job.out / "result.json").unlink(missing_ok=True)
        events = job.out / "events.jsonl"
        size = events.stat().st_size if events.exists() else 0
        if size:
            with events.open("rb+") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # cut short by a kill; the next event must not be glued to it
                    size += file.write(b"\n")
    return Tail(events, size)


def _place(source: Path, target: Path, job: str) -> None:
    if target.name in ("", ".", "..") or target.parent.name != "in":
        raise SandboxError(f"'{target.name}' is no name for an input of job '{job}'", "use a plain file name")
    if not source.exists():
        raise SandboxError(f"an input of job '{job}' is missing: '{source}'", "it was moved or removed; put it back")
    _place_any(source, target, job)


def _place_any(source: Path, target: Path, job: str) -> None:
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for inner in sorted(source.iterdir()):
            _place_any(inner, target / inner.name, job)
    else:
        _place_file(source, target, job)


def _place_file(source: Path, target: Path, job: str) -> None:
    source = source.resolve()
    if target.exists():
        if not target.samefile(source) and not filecmp.cmp(source, target, shallow=False):
            raise SandboxError(
                f"input '{target.name}' of job '{job}' is not what it was staged with",
                f"'{source}' or '{target}' was changed; a job's inputs never change",
            )
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    target.chmod(0o444)


def _ready_out(out: Path) -> None:
    begun = any((out / name).is_dir() and any((out / name).iterdir()) for name in ("checkpoint", "stages"))
    if out.exists() and not begun and not _done(out / "result.json"):
        shutil.rmtree(out)
    out.mkdir(exist_ok=True)


def _done(result: Path) -> bool:
    try:
        return JobResult.model_validate_json(result.read_bytes()).status == "done"
    except (OSError, ValueError):
        return False
