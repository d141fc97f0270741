"""The trial contract from inside the sandbox: what a job reads, writes and says when it ends.

Training and evaluation share it, so that the host needs one reader for both. No torch here: importing this
module is cheap and starts no thread.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tunewright.domain.errors import DataError, SandboxError, TunewrightError
from tunewright.domain.job import EvaluationSpec, TrialSpec, job_spec
from tunewright.domain.outcome import EXIT_CODES, Fault, FaultKind, Item, JobResult
from tunewright.domain.trial_event import Checkpointed, Measured, Noted, Progressed, Scored, Started

_CODES = {said: code for code, said in EXIT_CODES.items()}
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|not enough memory", re.I)
_DEVICE_LOST = re.compile(r"CUDA error|CUDA driver|cuDNN error|NCCL", re.I)


class FaultError(Exception):
    """Ends the job with ``fault``: raised by the job's own code where it knows who is to blame.

    Args:
        kind: who is to blame.
        message: one line: what was expected and what came.
        step: optimiser step at which it showed.
    """

    def __init__(self, kind: FaultKind, message: str, step: int | None = None) -> None:
        super().__init__(message)
        self.fault = Fault(kind=kind, message=message, step=step)

    def __reduce__(self) -> tuple[type[FaultError], tuple[FaultKind, str, int | None]]:
        return type(self), (self.fault.kind, self.fault.message, self.fault.step)


def read_spec(folder: Path) -> TrialSpec | EvaluationSpec:
    """The specification of the job in ``folder``.

    Raises:
        FaultError: ``infra`` if there is no readable ``spec.json``, ``config`` if it is no valid specification.
    """
    path = folder / "spec.json"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FaultError("infra", f"spec.json cannot be read: {error}", 0) from error
    try:
        return job_spec.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise FaultError("config", f"spec.json is not a valid specification: {where}: {first['msg']}", 0) from error


def exit_code(said: FaultKind | Literal["done", "paused"]) -> int:
    """The exit code that says how the job ended: ``done``, ``paused`` or a kind of fault."""
    return _CODES[said]


def classify(error: BaseException, step: int | None = None) -> Fault:
    """Who is to blame for ``error``.

    Memory by type or by the allocator's words, data and machine by the error's own type. Everything else is
    ``config``: what is left over in practice is a recipe that does not fit its model.

    Args:
        error: what escaped the job.
        step: optimiser step at which it showed; kept unless the error brings its own.
    """
    if isinstance(error, FaultError):
        fault = error.fault
        return fault if fault.step is not None or step is None else fault.model_copy(update={"step": step})
    return Fault(kind=_kind(error), message=_one_line(error), step=step)


def _kind(error: BaseException) -> FaultKind:
    text = str(error)
    # torch.OutOfMemoryError by name, so that classifying needs no torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _OUT_OF_MEMORY.search(text):
        return "memory"
    if isinstance(error, DataError):
        return "data"
    if isinstance(error, SandboxError | ImportError | OSError):
        return "memory" if getattr(error, "errno", None) == errno.ENOMEM else "infra"
    return "infra" if isinstance(error, RuntimeError) and _DEVICE_LOST.search(text) else "config"


def _one_line(error: BaseException) -> str:
    """The error's first line; for one that is not ours also its type and where it came from."""
    # A path with bytes that are no UTF-8 comes as unpaired surrogates, which JSON cannot hold.
    lines = str(error).encode("utf-8", "replace").decode().strip().splitlines()
    if isinstance(error, TunewrightError):
        return lines[0] if lines else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return (type(error).__name__ + (f": {lines[0]}" if lines else ""))[:500] + where


class Output:
    """The job's ``out/`` folder. Events are appended, everything else is replaced at once or not at all.

    Args:
        folder: the job's folder; ``out/`` is made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "events.jsonl"
        torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        self._events = path.open("a", encoding="utf-8", errors="backslashreplace")
        if torn:  # an earlier attempt was killed in the middle of a line
            self._events.write("\n")

    def event(self, one: Started | Progressed | Measured | Scored | Checkpointed | Noted) -> None:
        """Appends one event; the host can read it when this returns."""
        self._events.write(one.model_dump_json() + "\n")
        self._events.flush()

    def note(self, message: str, level: Literal["info", "warning"] = "info") -> None:
        """Appends a ``Noted``."""
        self.event(Noted(message=message, level=level))

    def items(self, items: Iterable[Item]) -> None:
        """Writes ``items.jsonl``, one scored row a line."""
        self.write("items.jsonl", "".join(item.model_dump_json() + "\n" for item in items))

    def result(self, result: JobResult) -> None:
        """Writes ``result.json``: the last thing a job does."""
        self.write("result.json", result.model_dump_json(indent=1) + "\n")

    def write(self, name: str, text: str) -> None:
        """Writes ``out/NAME``: after a crash the file is the old one or the new one, never half of one."""
        path = self.folder / name
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def close(self) -> None:
        """Closes the events. May be called twice."""
        self._events.close()


def failed(output: Output, error: BaseException, *, step: int | None = None, so_far: JobResult | None = None) -> int:
    """Ends the job with a fault: the traceback on stderr for people, ``result.json`` for the host.

    Args:
        so_far: what is known of steps, tokens and seconds; its status and fault are replaced.

    Returns:
        The exit code.
    """
    traceback.print_exception(error, file=sys.stderr)
    fault = classify(error, step)
    result = so_far or JobResult(status="failed")
    update = {"status": "failed", "fault": fault, "measurement": None, "peak_memory_gib": peak_memory_gib()}
    output.result(result.model_copy(update=update))
    return exit_code(fault.kind)


def peak_memory_gib() -> float:
    """The most memory this job has held: of its GPU if it uses one, else of this process (resident set), in GiB."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_reserved()) / 2**30
    try:
        # VmHWM and not ru_maxrss: the latter is inherited over exec from whoever started the job.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**20
    except (OSError, StopIteration):
        import resource

        unit = 2**30 if sys.platform == "darwin" else 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
