"""Python that takes too long is interrupted, and nothing is left behind."""

from __future__ import annotations

import re
import signal
import time

import pytest

from tunewright.tools.training.time_limit import time_limit


def test_loops_and_patterns_are_interrupted() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0.1 s"), time_limit(0.1):
        while True:
            pass
    with pytest.raises(TimeoutError), time_limit(0.1):
        re.match(r"^(a|a)*$", "a" * 60 + "!")
    assert time.monotonic() - began < 30


def test_the_alarm_is_given_back() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(0.05):
        pass
    time.sleep(0.1)
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
