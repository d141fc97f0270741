"""A token bucket per model: how many requests and tokens a minute a provider takes, kept before it has to say no.

Limits are what the settings say until a response tells them (``x-ratelimit-limit-*``); what a response says is left
replaces what was counted here, since others may use the same account.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping

_MINUTE_S = 60.0
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class _Level:
    """One of the two: holds at most a minute's worth, and fills evenly."""

    def __init__(self, a_minute: float | None, now: float) -> None:
        self.limit = a_minute
        self._left = a_minute or 0.0
        self._at = now

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` is there. More than a minute's worth waits for a full bucket."""
        if self.limit is None:
            return 0.0
        self._fill(now)
        missing = min(amount, self.limit) - self._left
        return max(0.0, missing) / self.limit * _MINUTE_S

    def take(self, amount: float, now: float) -> None:
        if self.limit is not None:
            self._fill(now)
            self._left -= amount

    def learn(self, limit: float | None, left: float | None, reset_s: float | None, now: float) -> None:
        if self.limit is None:
            # Nothing is left and more comes in ``reset_s``: at least one then.
            limit = _MINUTE_S / reset_s if limit is None and left == 0 and reset_s else limit
            self._left, self._at = limit or 0.0, now
        if limit is not None and limit > 0:
            self.limit = limit
        if self.limit is None:
            return
        self._fill(now)
        if left is not None:
            self._left = min(left, self.limit)

    def _fill(self, now: float) -> None:
        assert self.limit is not None
        self._left = min(self.limit, self._left + max(0.0, now - self._at) / _MINUTE_S * self.limit)
        self._at = now


class Bucket:
    """The limits of one model. Threads may share it.

    Args:
        requests: a minute; None for no limit that is known.
        tokens: a minute, likewise.
        clock: seconds, never going back.
    """

    def __init__(
        self, requests: float | None = None, tokens: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        now = clock()
        self._levels = {"requests": _Level(requests, now), "tokens": _Level(tokens, now)}
        self._turn = threading.Lock()

    @property
    def limits(self) -> dict[str, float | None]:
        """Requests and tokens a minute, as far as known."""
        return {name: level.limit for name, level in self._levels.items()}

    def take(self, tokens: int) -> float:
        """Takes one request of ``tokens``; the seconds to wait before it is sent.

        It is taken at once, so that of two who ask together the second waits behind the first.
        """
        with self._turn:
            now = self._clock()
            asked = {"requests": 1.0, "tokens": float(tokens)}
            wait = max(level.wait(asked[name], now) for name, level in self._levels.items())
            for name, level in self._levels.items():
                level.take(asked[name], now)
            return wait

    def give_back(self, tokens: int) -> None:
        """Of what was taken: the tokens that were not used after all."""
        with self._turn:
            self._levels["tokens"].take(-float(tokens), self._clock())

    def learn(self, headers: Mapping[str, str]) -> None:
        """From a response's headers, names in lower case. Those of no use are left aside."""
        with self._turn:
            now = self._clock()
            for name, level in self._levels.items():
                limit, left = (_number(_header(headers, kind, name)) for kind in ("limit", "remaining"))
                level.learn(limit, left, _span(_header(headers, "reset", name)), now)


def _header(headers: Mapping[str, str], kind: str, name: str) -> str:
    """``x-ratelimit-limit-requests``, or in the other common order ``anthropic-ratelimit-requests-limit``."""
    spellings = (f"x-ratelimit-{kind}-{name}", f"anthropic-ratelimit-{name}-{kind}")
    return next(
        (
            headers[found]
            for spelling in spellings
            for found in (spelling, f"llm_provider-{spelling}")
            if found in headers
        ),
        "",
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _span(text: str) -> float | None:
    """``6m0s``, ``20ms`` or a number of seconds."""
    parts = _SPAN.findall(text)
    if parts and "".join(f"{number}{unit}" for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return _number(text)
