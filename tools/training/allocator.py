"""How glibc gives memory to tensors on a CPU.

By default it serves all but the largest from a heap in which the gaps that freed tensors leave fit no other aligned
tensor of the same size (glibc 2.36), so that training takes up to twice what is in use. Above a threshold it asks the
system for each, and gives each back: nothing is lost, and the system's zeroing of pages takes time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from tunewright.tools.contract import FaultError

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_COMPACT, _USUAL = 2**20, 2**25
"""Bytes from which on the system is asked: of compact memory, and the most that glibc itself goes to."""


@contextmanager
def compact(device: str, *, on: bool) -> Iterator[None]:
    """Within the block, if ``on``, what is freed goes back to the system.

    Args:
        device: ``cpu`` or ``cuda``.

    Raises:
        FaultError: ``config``: the device has another allocator.
    """
    if not on:
        yield
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if device != "cpu" or mallopt is None or not mallopt(_MMAP_THRESHOLD, _COMPACT):
        raise FaultError("config", "compact memory is for a CPU and glibc: leave compact out", 0)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, _USUAL)
