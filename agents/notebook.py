"""What every node writes to and reads from: the journal, with its observers told."""

from __future__ import annotations

from typing import Protocol

from tunewright.domain.errors import AccessError
from tunewright.domain.event import Event
from tunewright.domain.live import Live, Observer, Said
from tunewright.domain.study import Study


class _Journal(Protocol):
    @property
    def study(self) -> Study: ...
    def append(self, event: Event) -> None: ...


class Notebook:
    """The journal and its observer: an event is seen by people only after it is durable."""

    def __init__(self, journal: _Journal, observe: Observer) -> None:
        self._journal = journal
        self._observe = observe

    @property
    def study(self) -> Study:
        """The study as of the last event."""
        return self._journal.study

    def record(self, event: Event) -> None:
        """Appends; durable when it returns."""
        self._journal.append(event)
        self._observe(event)

    def show(self, live: Live | Said) -> None:
        """For a screen only; nothing is kept."""
        self._observe(live)

    def say(self, message: str) -> None:
        """One line for a person who waits on a slow step."""
        self._observe(Said(message))


class Stop:
    """Set when a person asked to stop, or the study cannot go on: nothing new is launched, what runs is paused."""

    def __init__(self) -> None:
        self.requested = False
        self.reason = ""
        self.error: AccessError | None = None
        """What a person has to put right before a resume is of use."""

    def request(self, reason: str, error: AccessError | None = None) -> None:
        self.requested, self.reason, self.error = True, reason, error
