"""Whether a program runs to its end, asked from a process that must not be harmed by it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tunewright
from tunewright.domain.errors import UsageError
from tunewright.tools.line_process import LineProcess

_START = "import sys; sys.path.insert(0, sys.argv[1]); from tunewright.tools.cell.warden import main; main()"
_ROOT = str(Path(tunewright.__file__).absolute().parents[1])
_FIRST_S = 10.0
"""What the program may take that tries whether any can be run."""
_SLACK_S = 30.0
"""What the warden may take beyond a program's own time."""
_ORDINARY = "import collections, datetime, decimal, functools, heapq, itertools, json, math, random, re, string, typing"


@dataclass(frozen=True)
class Bounds:
    """What one program may use."""

    wall_s: float = 4.0
    memory_mib: int = 512
    """Of address space, the interpreter's included."""
    disk_mib: int = 16
    """In its temporary directory: together where the kernel lets us mount one, else for each file."""
    open_files: int = 64


class Cell:
    """Runs programs one after the other, each in a process and a directory of its own that are gone afterwards.

    What a program cannot do, everywhere: run longer, hold more memory, write larger files than its bounds; see an
    environment, read the asking process's input or write to its output. On Linux, as far as the kernel allows it:
    start processes, open sockets, send signals, read files outside Python's own and its directory, write files outside
    its directory. It is no substitute for the sandbox around it: there may be holes in a kernel.

    A program that searches the interpreter's memory can claim to have ended well. Leaving early does not.

    Args:
        bounds: for each program.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._folder = tempfile.TemporaryDirectory(prefix="cell-", ignore_cleanup_errors=True)
        self._warden: LineProcess | None = None

    def check(self) -> None:
        """Whether an ordinary program runs within these bounds on this machine.

        Raises:
            UsageError: it does not.
        """
        if not self._ran((_ORDINARY,), max(self.bounds.wall_s, _FIRST_S)):
            raise UsageError(
                f"no program can be run within {self.bounds.memory_mib} MiB here: one that only imports parts of "
                "Python's library failed",
                "raise the limit on memory, or see whether this process may start others",
            )

    def passes(self, *sources: str) -> bool:
        """Whether the sources, run in turn in one namespace, come to their end without an exception."""
        return self._ran(sources, self.bounds.wall_s)

    def _ran(self, sources: Sequence[str], wall_s: float) -> bool:
        if self._warden is None:
            self._warden = self._started()
        try:
            reply = self._warden.ask({"sources": sources, "wall_s": wall_s}, wall_s + _SLACK_S)
        except (TimeoutError, EOFError):
            self.close()
            return False
        return bool(reply["passed"])

    def close(self) -> None:
        """Ends the warden; the next program gets another. May be called twice."""
        if self._warden is not None:
            self._warden.end()
            self._warden = None

    def _started(self) -> LineProcess:
        bounds = (self.bounds.memory_mib, self.bounds.disk_mib, self.bounds.open_files)
        command = [sys.executable, "-P", "-s", "-c", _START, _ROOT, self._folder.name, *map(str, bounds)]
        return LineProcess(command, _environment())


def _environment() -> dict[str, str]:
    """Nothing of ours but where shared libraries are; the rest makes equal programs run equally."""
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    fixed = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    # A library that starts threads would run into the limit on memory.
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**libraries, **fixed, **single}
