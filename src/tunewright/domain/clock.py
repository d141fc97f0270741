"""The clock of a study: how long it has been at work, from its events alone."""

from __future__ import annotations

from tunewright.domain import event as ev


class WallClock:
    """Seconds at work: from a session's opening to its close, without the waits for a person.

    A crash leaves a session open; it is closed at the last sign of life, which is the journal's last event
    or, later, the recovered job's own last event.
    """

    def __init__(self) -> None:
        self._done = 0.0
        self._since: float | None = None
        self.last = 0.0
        self._lost_since: float | None = None
        self._session = False

    @property
    def running(self) -> bool:
        return self._since is not None

    def tick(self, one: ev.Event) -> None:
        match one:
            case ev.SessionOpened():
                self._lost_since = self.last if self.running else None
                self._stop(self.last)
                self._since, self._session = one.at, True
            case ev.SessionClosed():
                self._stop(one.at)
                self._session = False
            case ev.ReviewAsked():
                self._stop(one.at)
            case ev.JobRecovered():
                self._recover(one.ran_until)
            case ev.Decided() | ev.Clarified() | ev.JobLaunched():
                if self._session and self._since is None:
                    self._since = one.at
        self.last = max(self.last, one.at)

    def _recover(self, ran_until: float) -> None:
        """Adds what a job ran on alone; once this session's clock runs, it counts that time itself."""
        if self._lost_since is not None:
            ran_until = ran_until if self._since is None else min(ran_until, self._since)
            self._done += max(0.0, ran_until - self._lost_since)
            self._lost_since = max(self._lost_since, ran_until)

    def _stop(self, at: float) -> None:
        if self._since is not None:
            self._done += max(0.0, at - self._since)
            self._since = None

    def total(self, now: float) -> float:
        return self._done + (max(0.0, now - self._since) if self._since is not None else 0.0)
