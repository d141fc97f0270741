"""What every event of a journal has."""

from __future__ import annotations

import time

from pydantic import Field

from tunewright.domain.frozen import Frozen


class Moment(Frozen):
    """What every event has."""

    at: float = Field(default_factory=time.time)
    """Seconds since the epoch."""
