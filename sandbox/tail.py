"""Reads ``out/events.jsonl`` while a job writes it. Trusts nothing in it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tunewright.domain.trial_event import Noted, TrialEvent, trial_event
from tunewright.sandbox.strays import open_plain

LINE_BYTES = 64 * 1024
CHUNK_BYTES = 1 << 20
WARNINGS = 20


class Tail:
    """Yields each whole line once, as an event. A line that is none becomes a warning, and after
    ``WARNINGS`` of those one last warning says that the rest are dropped in silence.

    Args:
        path: the file; it need not exist yet.
        offset: where to begin, in bytes.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._offset = offset
        self._unread: deque[bytes] = deque()
        self._partial = b""
        self._skipping = False
        self._line = 0
        self._bad = 0

    def read(self, final: bool = False) -> Iterator[TrialEvent]:
        """Events written since the last call. The last line waits for its newline, unless ``final``.

        A caller may leave in the middle: what it has not taken comes in the next call.
        """
        yield from self._whole()
        while chunk := chunk_at(self._path, self._offset):
            self._offset += len(chunk)
            *whole, self._partial = (self._partial + chunk).split(b"\n")
            self._unread.extend(whole)
            yield from self._whole()
            if len(self._partial) > LINE_BYTES:
                yield from self._too_long()
        if final and self._partial:
            rest, self._partial = self._partial, b""
            yield from self._parse(rest)

    def _whole(self) -> Iterator[TrialEvent]:
        while self._unread:
            yield from self._parse(self._unread.popleft())

    def _too_long(self) -> Iterator[TrialEvent]:
        """Drops the partial line and what will follow of it, so that memory stays bounded."""
        self._partial = b""
        if not self._skipping:
            self._skipping = True
            yield from self._warn(f"is longer than {LINE_BYTES} bytes", self._line + 1)

    def _parse(self, line: bytes) -> Iterator[TrialEvent]:
        self._line += 1
        if self._skipping:
            self._skipping = False
            return
        if not line.strip():
            return
        if len(line) > LINE_BYTES:
            yield from self._warn(f"is longer than {LINE_BYTES} bytes", self._line)
            return
        try:
            yield trial_event.validate_json(line.decode())
        except UnicodeDecodeError:
            yield from self._warn("is not UTF-8", self._line)
        except ValidationError as error:
            yield from self._warn(f"is no event: {error.errors()[0]['msg']}", self._line)

    def _warn(self, what: str, line: int) -> Iterator[TrialEvent]:
        self._bad += 1
        if self._bad < WARNINGS:
            yield Noted(level="warning", message=f"a line of events.jsonl {what} (line {line} of this run)")
        elif self._bad == WARNINGS:
            yield Noted(
                level="warning", message="more lines of events.jsonl are no events; they are dropped in silence"
            )


def chunk_at(path: Path, offset: int) -> bytes:
    """At most ``CHUNK_BYTES`` of the file from ``offset`` on; nothing if there is no more, or no plain file."""
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)
    except OSError:
        return b""
