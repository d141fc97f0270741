"""Which GPUs there are on this machine and which jobs hold them, without loading CUDA."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tunewright.domain.errors import SandboxError, UsageError


def visible() -> tuple[str, ...]:
    """The GPUs this process may use, as CUDA names them: ``CUDA_VISIBLE_DEVICES`` if it is set, else all."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1"))
    nodes = [node.name.removeprefix("nvidia") for node in Path("/dev").glob("nvidia[0-9]*")]
    return tuple(sorted(nodes, key=int))


def assign(count: int, held: Iterable[str]) -> tuple[str, ...]:
    """``count`` GPUs that nobody holds.

    Raises:
        UsageError: the machine has fewer.
        SandboxError: it has enough, but other jobs hold them.
    """
    there = visible()
    if count > len(there):
        raise UsageError(
            f"{count} GPUs asked for, {len(there) or 'none'} found",
            "run with --gpus 0, or check nvidia-smi and CUDA_VISIBLE_DEVICES",
        )
    taken = set(held)
    free = tuple(name for name in there if name not in taken)
    if count > len(free):
        raise SandboxError(f"{count} GPUs asked for, {len(free)} of {len(there)} free", "wait for a running job to end")
    return free[:count]
