"""The host's side of what a job on a node writes: events as they come, files as snapshots."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Hashable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunewright.domain.errors import SandboxError, boundary
from tunewright.domain.trial_event import Noted
from tunewright.sandbox.freight import Announced, Grown, Piece
from tunewright.sandbox.parcel import listing, unpack
from tunewright.sandbox.site import APART

_RESULT = "result.json"


class Arrival:
    """Fills the job's ``out/`` on the host.

    Args:
        folder: the job's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._out = folder / "out"
        self._events = self._out / "events.jsonl"
        self._began = self._events.stat().st_size if self._events.exists() else 0
        self._partial = folder / ".arriving.tar"
        self._files: frozenset[str] = frozenset()
        self._told: _Told | None = None

    def take(self, dispatch: Grown | Announced | Piece) -> None:
        """Puts what came where it belongs.

        Raises:
            SandboxError: it is no snapshot, or the disk refuses.
        """
        with boundary(SandboxError, "take in what the job has written", "check that the disk has room"):
            match dispatch:
                case Grown(lines):
                    self._add(lines)
                case Announced(files):
                    self._files = frozenset(files)
                    self._partial.write_bytes(b"")
                case Piece(content, last):
                    with self._partial.open("ab") as file:
                        file.write(content)
                    if last:
                        self._commit()

    def again(self, why: str) -> None:
        """The attempt was lost and another one follows from the last checkpoint: what that one says for a second
        time is dropped."""
        self._partial.unlink(missing_ok=True)
        content = self._events.read_bytes() if self._events.exists() else b""
        if content and not content.endswith(b"\n"):
            self._append(b"\n")
        self._told = _Told(content[self._began :])
        self._append(Noted(level="warning", message=why).model_dump_json().encode() + b"\n")

    def close(self) -> None:
        """Removes what is left of a snapshot that never was whole."""
        self._partial.unlink(missing_ok=True)

    def _add(self, lines: bytes) -> None:
        if self._told is not None:
            lines = b"".join(line for line in lines.splitlines(keepends=True) if self._told.is_new(line))
        self._append(lines)

    def _append(self, lines: bytes) -> None:
        with self._events.open("ab") as file:
            file.write(lines)

    def _commit(self) -> None:
        """Moves the files in, the result last: a result that is there tells that all else is."""
        fresh = self._partial.with_suffix("")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            unpack(_blocks(self._partial), fresh)
        except tarfile.TarError as error:
            raise SandboxError(f"what the job has written cannot be unpacked: {error}") from error
        for name in sorted(listing(fresh), key=lambda name: (name == _RESULT, name)):
            _move(fresh / name, self._out, name)
        for name in listing(self._out, APART).keys() - self._files:
            (self._out / name).unlink()
            with suppress(OSError):  # not empty, or out/ itself is what is left
                (self._out / name).parent.rmdir()
        self._out.mkdir(exist_ok=True)
        shutil.rmtree(fresh)
        self._partial.unlink()


class _Told:
    """What lost attempts have said: how far they were, what they measured, what they noted."""

    def __init__(self, lines: bytes) -> None:
        self._steps: dict[str, int] = {}
        self._said: set[Hashable] = set()
        for line in lines.splitlines():
            if event := _event(line):
                kind, step = event.get("kind"), event.get("step")
                if isinstance(step, int):
                    self._steps[str(kind)] = max(step, self._steps.get(str(kind), step))
                self._said.add(_key(event))

    def is_new(self, line: bytes) -> bool:
        """Whether the line says what was not said before. What is no event is new."""
        event = _event(line)
        if event is None:
            return True
        kind, step = event.get("kind"), event.get("step")
        if kind in ("progressed", "checkpointed") and isinstance(step, int):
            return step > self._steps.get(kind, step - 1)
        return kind not in ("measured", "noted") or _key(event) not in self._said


def _event(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return None


def _key(event: dict[str, Any]) -> Hashable:
    """What makes two events the same, the time apart."""
    measurement = event.get("measurement")
    step = measurement.get("step") if isinstance(measurement, dict) else None
    return (str(event.get("kind")), str(step), str(event.get("final")), str(event.get("message")))


def _move(source: Path, out: Path, name: str) -> None:
    """Puts a file into ``out``, whatever an earlier attempt has left in its way."""
    target = out
    for part in Path(name).parts[:-1]:
        target = target / part
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            target.unlink()
        target.mkdir(exist_ok=True)
    target = out / name
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block
