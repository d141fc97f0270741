"""What a reader gives in place of a row it cannot read; whether to stop or to skip is decided in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BadRow:
    """``reason`` goes on from ``FILE line N``, such as ``is not JSON: expected ',' at column 40``."""

    reason: str
