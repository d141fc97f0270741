"""What an error of a provider means: is the same request worth another try, when, and may it have been billed.

A request that reached the server and got no whole answer may have been worked on and billed. One that the server
turned away with a status, or that never left this machine, was not; nor is a time-out of a gateway free, which gives
up on a model that goes on.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

ATTEMPTS = 4
"""Times one request is sent while the server is busy or broken."""
LONGEST_S = 20.0
"""The longest wait that we choose ourselves; a server may ask for a longer one."""

Meaning = Literal["again", "refused", "no access", "broken"]
"""``again``: the same request may do later. ``refused``: the server does not take a request of this kind.
``no access``: key, account or model's name. ``broken``: nothing that is known to help."""

_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_BILLED = frozenset({408, 504})
_NO_ACCESS = frozenset({401, 402, 403, 404})
_REFUSED = frozenset({400, 405, 415, 422, 501})
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError"})
_NO_MONEY = re.compile(r"insufficient_quota|exceeded your current quota|credit balance is too low", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """What an error means."""

    meaning: Meaning
    billed: bool
    """Whether it may have been billed."""
    wait_s: float | None = None
    """As long as the server asks to wait; None where it does not say."""
    status: int | None = None


def fault_of(error: Exception) -> Fault:
    """What a provider's error, as litellm raises it, means."""
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else None
    names = [type(one).__name__ for one in _chain(error)]
    if _NEVER_SENT.intersection(names):
        return Fault("again", billed=False, status=status)
    told = "HTTPStatusError" in names or bool(headers_of(error))
    local = not told and (status is None or "Provider NOT" in str(error))
    wait = retry_after(headers_of(error))
    if _NO_MONEY.search(str(error)) and status in (402, 403, 429):
        return Fault("no access", billed=False, status=status)
    if status in _TRANSIENT:
        return Fault("again", billed=not told or status in _BILLED, wait_s=wait, status=status)
    if status in _NO_ACCESS or "Provider NOT" in str(error):
        return Fault("no access", billed=False, status=status)
    if status in _REFUSED and "ContextWindow" not in type(error).__name__:
        return Fault("refused", billed=False, status=status)
    return Fault("broken", billed=local, status=status)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, section 10.2.3); None if it does not."""
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", asked):
        return float(asked)
    try:
        at = parsedate_to_datetime(asked).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    wait = at - (time.time() if now is None else now)
    return max(0.0, wait) if math.isfinite(wait) else None


def backoff(attempt: int, key: str) -> float:
    """Seconds before attempt ``attempt + 1`` where the server does not say: 1, 4, 16, never above ``LONGEST_S``.

    Up to a quarter less, by the request's key: those who were turned away together do not come back together.
    """
    whole = min(LONGEST_S, 4.0 ** (attempt - 1))
    share = int(key[:4], 16) / 0xFFFF if re.match(r"[0-9a-f]{4}", key) else 0.0
    return whole * (1 - share / 4)


def headers_of(error: Exception) -> dict[str, str]:
    """The response's headers, names in lower case; none where there was no response."""
    for one in _chain(error):
        found = getattr(one, "litellm_response_headers", None) or getattr(
            getattr(one, "response", None), "headers", None
        )
        if found:
            return {str(name).lower(): str(value) for name, value in dict(found).items()}
    return {}


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(12):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__
