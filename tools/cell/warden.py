"""The process that runs programs: each in a fork of its own, which gives up what it does not need before it begins.

    python -c '...main()' ROOT FOLDER MEMORY_MIB DISK_MIB OPEN_FILES

Reads ``{"sources": [...], "wall_s": number}`` a line from stdin, writes ``{"passed": bool}`` a line to stdout, and ends
with stdin. It imports Python's library alone, so that a fork costs a millisecond and holds nothing worth reading.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tunewright.tools.cell import kernel, landlock, seccomp

_WORD = 3
"""The descriptor on which a program's end is told."""
_MOST_DESCRIPTORS = 4096


@dataclass(frozen=True)
class Walls:
    """Where programs run and what they may use."""

    folder: str
    memory_mib: int
    disk_mib: int
    open_files: int

    def close_in(self, wall_s: float) -> None:
        """Bounds this process for good."""
        os.chdir(self.folder)
        kernel.limit(wall_s=wall_s, memory_mib=self.memory_mib, disk_mib=self.disk_mib, open_files=self.open_files)
        kernel.drop_privileges()
        landlock.shut_in(self.folder)
        if not seccomp.forbid():
            kernel.no_more_processes()


def main() -> None:
    """Serves programs until stdin ends."""
    folder, memory_mib, disk_mib, open_files = sys.argv[2:6]
    walls = Walls(folder, int(memory_mib), int(disk_mib), int(open_files))
    say = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    mounts = kernel.leave_namespaces()
    for line in sys.stdin:
        mounted = mounts and kernel.mount_memory(folder, walls.disk_mib)
        asked = json.loads(line)
        passed = _passes(asked["sources"], asked["wall_s"], walls)
        if mounted:
            kernel.unmount(folder)
        else:
            _empty(folder)
        print(json.dumps({"passed": passed}), file=say, flush=True)


def _passes(sources: Sequence[str], wall_s: float, walls: Walls) -> bool:
    word = secrets.token_hex(16).encode()
    ear, mouth = os.pipe()
    program = os.fork()
    if not program:
        _become(sources, wall_s, walls, word, mouth)
    os.close(mouth)
    heard = _heard(ear, len(word), time.monotonic() + wall_s)
    for kill in (os.killpg, os.kill):  # it may not have had the time to begin a group
        with suppress(ProcessLookupError):
            kill(program, signal.SIGKILL)
    os.waitpid(program, 0)
    os.close(ear)
    return heard == word


def _heard(ear: int, size: int, deadline: float) -> bytes:
    """What a program says until it has ended, is late, or has said more than it should."""
    heard = b""
    while len(heard) <= size:
        if not select.select([ear], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b""
        chunk = os.read(ear, size + 1 - len(heard))
        if not chunk:
            break
        heard += chunk
    return heard


def _become(sources: Sequence[str], wall_s: float, walls: Walls, word: bytes, mouth: int) -> NoReturn:
    """The program itself. Only one that comes to its end says the word: an exit code of 0 says nothing."""
    try:
        os.setsid()
        os.dup2(1, 0)
        os.dup2(mouth, _WORD)
        os.closerange(_WORD + 1, _MOST_DESCRIPTORS)
        walls.close_in(wall_s)
        namespace = {"__name__": "__main__"}
        for source in sources:
            exec(compile(source, "<program>", "exec"), namespace)
        os.write(_WORD, word)
    finally:
        os._exit(0)


def _empty(folder: str) -> None:
    for entry in Path(folder).iterdir():
        if entry.is_dir() and not entry.is_symlink():
            with suppress(RecursionError):
                shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
