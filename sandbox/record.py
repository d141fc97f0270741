"""What a keeper leaves in the job's folder for a later host: that it runs, and how the job ended.

``running.json`` names the keeper's process beyond doubt (id, start time, boot), so that a later host never kills a
stranger that got the same number. ``exit.json`` is the exit, kept until the job is started again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Record:
    """The two files of the job in ``folder``."""

    folder: Path

    @classmethod
    def of(cls, folder: str | Path) -> Record:
        return cls(Path(folder))

    def running(self) -> None:
        """Says that this process keeps the job."""
        write_object(self.folder / "running.json", {"process": identity()})

    def ended(self, exit_: dict[str, Any]) -> None:
        """Says how the job ended, then that nobody keeps it any more."""
        write_object(self.folder / "exit.json", {**exit_, "ended_at": time.time()})
        self._remove("running.json")

    def clear(self) -> None:
        """Forgets an earlier attempt."""
        self._remove("exit.json")
        self._remove("running.json")

    def keeper(self) -> psutil.Process | None:
        """The process that keeps the job now, if one does."""
        said = read_object(self.folder / "running.json")
        return living(str(said["process"])) if said else None

    def exit(self) -> dict[str, Any] | None:
        """How the job ended, with ``ended_at``; None if that was not written."""
        return read_object(self.folder / "exit.json")

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self.folder / name).unlink()


def write_object(path: Path, content: Mapping[str, Any]) -> None:
    """Writes it as JSON, so that a reader finds all of it or what was there before."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def read_object(path: Path) -> dict[str, Any] | None:
    """What ``write_object`` has written; None if there is nothing of the kind."""
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def identity(pid: int | None = None) -> str:
    """A process of this machine, told apart from any other that ever had its number.

    ``boot/namespace/pid/start``: the machine's boot, the process-id namespace, the number, the start time.
    """
    pid = os.getpid() if pid is None else pid
    return f"{_boot()}/{_namespace()}/{pid}/{_start(pid)}"


def living(who: str) -> psutil.Process | None:
    """The process with that ``identity``, if it still lives and can be seen from here."""
    try:
        boot, namespace, pid, start = who.split("/")
        process = psutil.Process(int(pid))
        alive = _start(process.pid) == start and process.status() != psutil.STATUS_ZOMBIE
    except (ValueError, OSError, psutil.Error):
        return None
    return process if alive and (boot, namespace) == (_boot(), _namespace()) else None


def visible(who: str) -> bool:
    """Whether ``living`` can tell: false for a process of another container on this machine, whose number means
    nothing here. Processes of an earlier boot are dead, which can be told."""
    boot, namespace, *_ = [*who.split("/"), "", ""]
    return bool(boot) and (boot != _boot() or namespace == _namespace())


def _start(pid: int) -> str:
    """Start time in the kernel's own ticks, since seconds of the day move when the clock is set."""
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return f"{psutil.Process(pid).create_time():.2f}"
    return stat.read_text().rpartition(")")[2].split()[19]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return "0"
