"""Who holds a study. The kernel's lock on an open file, so that it ends with its process, ``kill -9`` included."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from pydantic import ValidationError

from tunewright.domain.errors import StudyBusyError
from tunewright.domain.frozen import Frozen

_NAME = "journal.lock"
_PATIENCE_S = 0.5  # a reader's look at the lock holds it for a moment; that is no second writer


class Holder(Frozen):
    """The process that runs a study."""

    pid: int
    host: str
    since: float
    """Seconds since the epoch."""

    def says(self) -> str:
        """Such as ``process 4121 since 14:02``, with the day and the machine where they are not today and here."""
        then, today = time.localtime(self.since), time.localtime()
        when = time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{where} since {when}"


def take(folder: Path) -> int:
    """Takes the lock of the study in ``folder``.

    Returns:
        The open file that holds it; closing it gives it back.

    Raises:
        StudyBusyError: another process, or this one a second time, holds it.
        OSError: the lock file cannot be made.
    """
    file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    patience = time.monotonic() + _PATIENCE_S
    while not _locked(file, fcntl.LOCK_EX):
        if time.monotonic() > patience:
            known = _read(file)
            os.close(file)
            who = known.says() if known else "another process"
            raise StudyBusyError(
                f"study {folder.name} is being run by {who}", f"watch it: tunewright status {folder.name}"
            )
        time.sleep(0.02)
    me = Holder(pid=os.getpid(), host=socket.gethostname(), since=time.time())
    os.ftruncate(file, 0)
    os.pwrite(file, me.model_dump_json().encode() + b"\n", 0)
    return file


def holder(folder: Path) -> Holder | None:
    """The process that runs the study in ``folder`` now, or None. Disturbs nobody."""
    try:
        file = os.open(folder / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _locked(file, fcntl.LOCK_SH) else _read(file)
    finally:
        os.close(file)


def _locked(file: int, mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: int) -> Holder | None:
    try:
        return Holder.model_validate_json(os.pread(file, 4096, 0))
    except ValidationError:  # taken this instant, its name not yet written
        return None
