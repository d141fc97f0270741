"""Rings at a moment, in a thread of its own: a deadline holds also while everybody else is busy."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

_SAME_S = 0.05
"""A moment that moves by less is the same moment."""


class Alarm:
    """Calls ``ring`` once, at a moment that may be moved until then. Set and put off by one thread.

    Args:
        ring: called in another thread; must not raise.
    """

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._at = math.inf
        self._timer: threading.Timer | None = None
        self._rang = False

    @property
    def due(self) -> bool:
        """Whether it has rung, or its moment has come."""
        return self._rang or time.time() >= self._at

    def move(self, at: float) -> None:
        """Sets the moment: seconds since the epoch, or infinity for never. What has rung stays so."""
        if abs(at - self._at) < _SAME_S or at == self._at or self._rang:
            return
        self.off()
        self._at = at
        seconds = max(0.0, at - time.time())
        if seconds < threading.TIMEOUT_MAX:
            self._timer = threading.Timer(seconds, self._fire)
            self._timer.daemon = True
            self._timer.start()

    def off(self) -> None:
        """It does not ring any more, unless it is moved again."""
        self._at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._rang = True
        self._ring()
