"""What is seen while it happens and kept by nobody: for a door's screen, never for the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tunewright.domain.event import Event
from tunewright.domain.trial_event import TrialEvent


@dataclass(frozen=True)
class Live:
    """A running job wrote a line."""

    job: str
    event: TrialEvent


@dataclass(frozen=True)
class Said:
    """A slow set-up step began, such as fetching the weights: one line for a person who waits."""

    message: str


Observer = Callable[[Event | Live | Said], object]
"""Is called with every event after it is in the journal, and with what is live; must not raise or block long."""
