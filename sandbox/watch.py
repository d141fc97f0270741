"""How much a job's processes use: memory, processes, disk. Read by the keeper a few times a second."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Resident bytes of one process, 0 if it is gone. One small read, cheap enough for ten times a second."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def descendants(pid: int) -> list[psutil.Process]:
    """All living processes below ``pid``."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def memory(leader: int, tree: list[psutil.Process]) -> int:
    """Resident bytes of the job.

    Pages that several of its processes share count once. A leader forked from the fork server shares pages with
    that as well, which its own resident size still counts.
    """
    alone = resident(leader)
    return alone if len(tree) < 2 else max(alone, sum(_proportional(process) for process in tree))


def tasks(tree: list[psutil.Process]) -> int:
    """Processes and threads together: what Linux counts as pids."""
    total = 0
    for process in tree:
        try:
            total += process.num_threads()
        except psutil.Error:
            continue
    return total


def disk(folder: Path) -> int:
    """Bytes of the files below ``folder``, links not followed."""
    total = 0
    for root, _, names in os.walk(folder, onerror=None):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512  # noqa: PTH118  in a hot loop
            except OSError:
                continue
    return total


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since boot; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return resident(process.pid)
