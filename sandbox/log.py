"""A job's log: what it prints, up to a cap, and its last lines for the error message."""

from __future__ import annotations

import os
from pathlib import Path

TAIL_BYTES = 4096


class CappedLog:
    """Pumps a pipe into a file. Reads on after the cap is reached, so that the job never blocks on its output.

    Args:
        path: appended to, since a resumed job goes on with its log.
        cap: bytes the file may hold.
    """

    def __init__(self, path: Path, cap: int) -> None:
        self._file = path.open("ab", buffering=0)
        self._room = max(0, cap - self._file.tell())
        self._told = False
        self._tail = b""
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.reader, False)

    def pump(self) -> bool:
        """Moves what is there, at most 1 MiB a call; false once nobody can write any more."""
        for _ in range(16):
            try:
                chunk = os.read(self.reader, 65536)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self._tail = (self._tail + chunk)[-TAIL_BYTES:]
            self._keep(chunk)
        return True

    def tail(self) -> str:
        """The last lines."""
        return self._tail.decode(errors="replace").strip()

    def close(self) -> None:
        os.close(self.reader)
        self._file.close()

    def _keep(self, chunk: bytes) -> None:
        if self._room:
            written = self._file.write(chunk[: self._room])
            self._room -= written
        if not self._room and not self._told:
            self._told = True
            self._file.write(b"\n[the log is full; what follows is dropped]\n")
