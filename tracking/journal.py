"""The journal of a study: the one record of what happened, append-only, one writer, durable line by line.

Everything else (Optuna, LangGraph, MLflow) is a view that can be rebuilt from it. A crash can tear at most
the last line, which was then never acknowledged: readers leave it out and the next writer cuts it off.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pydantic import ValidationError

from tunewright.domain.errors import TrackingError, UsageError, unknown_name
from tunewright.domain.event import Event, Warned, event
from tunewright.domain.study import Study
from tunewright.tracking.lock import Holder, holder, take

__all__ = ["Holder", "Journal", "events", "holder", "read_study", "studies"]

_NAME = "journal.jsonl"


class Journal:
    """The one writer of a study. A context manager: entering takes the lock and reads what is there.

    Args:
        folder: the study's folder, named like the study; made if it is missing.

    Raises:
        StudyBusyError: on entering, if another process holds the study.
        UsageError: on entering, if the folder cannot be written.
        TrackingError: on entering, if a line of the journal cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / _NAME
        self.study = Study()
        self._lock: int | None = None
        self._file: int | None = None
        self._size = 0
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = take(self.folder)
            self._open()
        except OSError as error:
            self._close()
            raise _unwritable(self.folder, error) from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn:
            self._close()

    def _open(self) -> None:
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if new:  # a file is only as durable as its name in the folder, and the folder's in its parent
            _sync_folder(self.folder)
            _sync_folder(self.folder.parent)
        self.study, self._size = _folded(self.path)
        if self._size < self.path.stat().st_size:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)

    def _close(self) -> None:
        for file in (self._file, self._lock):
            if file is not None:
                os.close(file)
        self._file = self._lock = None

    def append(self, one: Event) -> None:
        """Appends one event; it is on disk and in ``study`` when this returns. Threads take turns.

        What is folded is what the line says, so that ``study`` here and a study read later are the same. What anybody
        else has appended is cut off with a warning: the lock is one writer's, and nothing else is an event.

        Raises:
            TrackingError: the line could not be written, and the journal is as before; or somebody has cut it.
            ValidationError: the event could not be read back; nothing was written.
        """
        line = one.model_dump_json().encode() + b"\n"
        read_back = event.validate_json(line)
        with self._turn:
            if self._file is None:
                raise TrackingError(f"the journal of study {self.folder.name} is not open")
            foreign = os.fstat(self._file).st_size - self._size
            if foreign < 0:
                raise TrackingError(
                    f"somebody else has cut '{self.path}' while the study ran; nothing was written",
                    "restore the file from a backup; a job of the process sandbox can write what its user can",
                )
            if foreign:
                os.ftruncate(self._file, self._size)
                said = f"{foreign} bytes that somebody else wrote behind the journal's end were cut off unread"
                self._add(event.validate_json(told := Warned(message=said).model_dump_json().encode() + b"\n"), told)
            self._add(read_back, line)

    def _add(self, read_back: Event, line: bytes) -> None:
        assert self._file is not None, "it is open"
        try:
            _write(self._file, line)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise TrackingError(
                f"could not write to '{self.path}': {error.strerror}",
                f"make room on the disk, then: tunewright resume {self.folder.name}",
            ) from error
        try:
            self.study.fold(read_back)
        except BaseException:  # an event out of order is a defect of the caller; it must not poison the file
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)


def read_study(folder: Path) -> Study:
    """The study in ``folder`` as its journal tells it now, without the lock.

    Raises:
        UnknownNameError: there is no such study; the message lists those there are.
        TrackingError: a line cannot be read.
    """
    with _opened(folder):  # says what is wrong if it cannot be read
        return _folded(folder / _NAME)[0]


def events(folder: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The events from byte ``offset`` on, and the offset to go on from: follows a running study.

    Raises:
        UnknownNameError: there is no such study.
        TrackingError: a line cannot be read.
    """
    with _opened(folder) as file:
        file.seek(offset)
        found = list(_parsed(folder / _NAME, file))
    return [one for _, one, _ in found], offset + sum(size for _, _, size in found)


def studies(folder: Path) -> list[str]:
    """Names of the studies under ``folder``, sorted; none if it is not there."""
    return sorted(path.parent.name for path in folder.glob(f"*/{_NAME}"))


@contextmanager
def _opened(folder: Path) -> Iterator[BinaryIO]:
    try:
        with (folder / _NAME).open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise unknown_name("study", folder.name, studies(folder.parent)) from None
    except OSError as error:
        raise TrackingError(f"could not read '{folder / _NAME}': {error.strerror}") from error


def _folded(path: Path) -> tuple[Study, int]:
    """The study, and how many bytes its whole lines are."""
    study, whole = Study(), 0
    with path.open("rb") as file, _uncollected():
        for number, one, size in _parsed(path, file):
            try:
                study.fold(one)
            except (KeyError, ValueError) as error:
                raise _damaged(path, number, f"'{one.kind}' of {error} comes before what it needs") from error
            whole += size
    return study, whole


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles meanwhile, nor at once afterwards: all that is made is kept, and to look through it takes
    longer than to read it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled and not gc.get_freeze_count():
            gc.freeze()  # all that is there counts as old from here on
            gc.unfreeze()
        if enabled:
            gc.enable()


def _parsed(path: Path, file: BinaryIO) -> Iterator[tuple[int, Event, int]]:
    """Line number, event and bytes of every whole line."""
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            return  # torn by a crash
        try:
            yield number, event.validate_json(line), len(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _damaged(path, number, f"{where}: {first['msg']}" if where else first["msg"]) from error


def _damaged(path: Path, number: int, why: str) -> TrackingError:
    return TrackingError(
        f"{path} line {number} is no event that this version knows: {why}",
        "restore the file from a backup, or read it with the version of tunewright that wrote it; nothing was changed",
    )


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write in '{folder}': {error.strerror}",
        "make it writable, or set TUNEWRIGHT_HOME to a folder that is",
    )


def _write(file: int, line: bytes) -> None:
    rest = line
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
