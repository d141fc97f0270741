"""When a job must end early: the host's SIGTERM, or its own time limit. It ends at the next step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """Ends a measurement in the middle; what was trained is in the checkpoint."""


class Stop:
    """Asked at every step and after every scored batch."""

    def __init__(self, deadline: float = float("inf")) -> None:
        self.deadline = deadline
        """By ``time.monotonic``."""
        self._asked = False

    def __bool__(self) -> bool:
        return self._asked or time.monotonic() >= self.deadline

    def ask(self) -> None:
        """As SIGTERM does."""
        self._asked = True

    def check(self, done: int, of: int) -> None:
        """For ``measure(progress=...)``.

        Raises:
            Interrupted: it is time to stop and there is more to score.
        """
        if self and done < of:
            raise Interrupted


@contextmanager
def stop_on_sigterm() -> Iterator[Stop]:
    """A ``Stop`` that SIGTERM sets. The former handler comes back afterwards."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals; a caller elsewhere uses ask()
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.ask()

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
