"""The host's side of a job that a keeper stands beside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tunewright.domain.errors import SandboxError
from tunewright.domain.protocols import Exit
from tunewright.domain.trial_event import TrialEvent
from tunewright.sandbox.record import Record
from tunewright.sandbox.tail import Tail
from tunewright.sandbox.wire import Wire

POLL_S = 0.05
KILL_S = 15.0

Finish = Callable[[Exit | None], Exit]
"""Frees what the job held and completes how it ended; given None if the keeper ended without a word."""


class KeptHandle:
    """A job with a keeper. Implements the ``Handle`` contract.

    Args:
        wire: to the keeper, which has said that the job started.
        tail: of the job's events.
        finish: called once, at the job's end.
        destroy: ends the job without its keeper's help.
    """

    def __init__(self, wire: Wire, tail: Tail, finish: Finish, destroy: Callable[[], None]) -> None:
        self._wire = wire
        self._tail = tail
        self._finish = finish
        self._destroy = destroy
        self._exit: Exit | None = None

    def events(self, timeout_s: float | None = None) -> Iterator[TrialEvent]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            ended = self._exit is not None
            yield from self._tail.read(final=ended)
            left = POLL_S if deadline is None else deadline - time.monotonic()
            if ended or left <= 0:
                return
            self._listen(min(POLL_S, left))

    def ask_to_stop(self) -> None:
        if self._exit is None:
            self._wire.send("stop")

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._exit is None:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            self._listen(min(1.0, max(0.0, left)))
            if left <= 0:
                break
        return self._exit

    def kill(self) -> None:
        if self._exit is None:
            self._wire.send("kill")
            if self.wait(KILL_S) is None:
                self._destroy()
                self._end(None)

    def _listen(self, timeout_s: float) -> None:
        if self._exit is not None:
            return
        reports = self._wire.reports(timeout_s)
        if reports is None:
            self._destroy()
            self._end(None)
        for report in reports or ():
            if report.get("kind") == "exit":
                self._end(exit_of(report))

    def _end(self, said: Exit | None) -> None:
        if self._exit is None:
            self._wire.close()
            self._exit = self._finish(said)


def exit_of(report: Mapping[str, Any]) -> Exit:
    """The keeper's words as an ``Exit``."""
    return Exit(**{name: report[name] for name in Exit.model_fields if name in report})


def exit_on_record(folder: Path) -> Exit | None:
    """How the job in ``folder`` ended by its record; None if that was not written."""
    said = Record.of(folder).exit()
    return exit_of(said) if said else None


def await_start(wire: Wire, timeout_s: float, why: Callable[[], str]) -> int:
    """Waits for the keeper's first word.

    Args:
        why: the last words of what should have brought the keeper up, for the error.

    Returns:
        The job's process id, as the keeper sees it.

    Raises:
        SandboxError: the keeper could not start the job, or hung up, or said nothing in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and (reports := wire.reports(0.2)) is not None:
        for report in reports:
            if report.get("kind") == "started":
                return int(report["pid"])
            if report.get("kind") == "refused":
                raise SandboxError(f"the job could not be started: {report['message']}")
    said = why().strip()
    last = said.splitlines()[-1] if said else "what should start it ended, or hangs, without a word"
    raise SandboxError(f"the job could not be started: {last}", "nothing of it is left running; try again")
