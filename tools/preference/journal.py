"""What happened while pairs were labelled: append-only, one writer, each line on disk before anything goes on.

The file of pairs is made from it. It holds what that file cannot: ties, pairs that were skipped, answers that were
taken back, pairs that are chosen and not yet answered.
"""

from __future__ import annotations

import datetime
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError

from tunewright.domain.budget import Cost
from tunewright.domain.errors import DataError, UsageError, boundary
from tunewright.domain.frozen import Frozen
from tunewright.tools.preference.annotator import Choice
from tunewright.tools.preference.belief import Guess, Label

Pair = tuple[int, int]
"""Numbers of two answers among all candidates, in the order in which they are shown."""

_NAME = "journal.jsonl"


class Began(Frozen):
    """The candidates are settled."""

    kind: Literal["began"] = "began"
    at: str
    """UTC, ISO 8601."""
    origin: dict[str, str]
    """What they come from; another origin is another session."""
    candidates: str
    """SHA-256 of the file of candidates."""


class Chosen(Frozen):
    """Pairs to ask for, in this order."""

    kind: Literal["chosen"] = "chosen"
    pairs: tuple[Pair, ...]


class Answered(Frozen):
    """One pair is labelled, or skipped."""

    kind: Literal["answered"] = "answered"
    at: str
    by: str
    pair: Pair
    choice: Choice
    reason: str = ""
    before: Guess
    """What was believed before, of the pair in the order in which it was shown."""
    bits: float = 0.0
    """What the label taught."""
    cost: Cost = Cost()
    calls: int = 0
    """Answers of a language model, valid or not."""

    @property
    def label(self) -> Label | None:
        """The label; None for a pair that was skipped."""
        outcome = {"1": 1.0, "2": 0.0, "tie": 0.5}.get(self.choice)
        return None if outcome is None else (*self.pair, outcome)

    @property
    def foreseen(self) -> bool | None:
        """Whether the likelier answer won; None where there was no likelier one, or no winner."""
        if self.choice not in ("1", "2") or self.before.probability == 0.5:
            return None
        return (self.before.probability > 0.5) == (self.choice == "1")


class Undone(Frozen):
    """The last answer that stands is taken back; its pair is asked for again."""

    kind: Literal["undone"] = "undone"
    at: str


Entry = Annotated[Began | Chosen | Answered | Undone, Field(discriminator="kind")]
_entry: TypeAdapter[Began | Chosen | Answered | Undone] = TypeAdapter(Entry)


class History:
    """What the entries so far add up to."""

    def __init__(self) -> None:
        self.began: Began | None = None
        self.answered: list[Answered] = []
        """Those that stand."""
        self.queue: list[Pair] = []
        """Chosen and not yet answered."""
        self.rounds = 0
        """Times that pairs were chosen."""
        self.taken_back: Answered | None = None
        """What the last entry took back, if it did."""
        self.paid = Cost()
        self.calls = 0

    def fold(self, entry: Began | Chosen | Answered | Undone) -> None:
        """Takes in one entry.

        Raises:
            ValueError: it cannot follow what was before.
        """
        self.taken_back = None
        match entry:
            case Began():
                self.began = entry
            case Chosen():
                self.queue += entry.pairs
                self.rounds += 1
            case Answered():
                self.queue.remove(entry.pair)
                self.answered.append(entry)
                self.paid += entry.cost
                self.calls += entry.calls
            case Undone():
                if not self.answered:
                    raise ValueError("nothing to take back")
                self.taken_back = self.answered.pop()
                self.queue.insert(0, self.taken_back.pair)

    @property
    def labels(self) -> list[Label]:
        """Every label that stands, in the order of the answers."""
        return [label for one in self.answered if (label := one.label) is not None]


class Journal:
    """The one writer. A context manager: entering takes the file and reads what is there.

    Args:
        folder: made if it is missing.

    Raises:
        UsageError: on entering, if another process labels into it, or it cannot be written.
        DataError: on entering, if a line cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _NAME
        self.history = History()
        self._file: int | None = None

    def __enter__(self) -> Self:
        hint = "give --pairs a place that can be written"
        with boundary(UsageError, f"write in '{self.path.parent}'", hint):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._take()
            self._read(self._file)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if not os.fstat(self._file).st_size:  # nothing was begun, so nothing is left behind
            self.path.unlink(missing_ok=True)
            with suppress(OSError):
                self.path.parent.rmdir()
        os.close(self._file)
        self._file = None

    def append(self, entry: Began | Chosen | Answered | Undone) -> None:
        """Appends one entry; it is on disk and in ``history`` when this returns."""
        assert self._file is not None, "the journal is not open"
        with boundary(UsageError, f"write to '{self.path}'", "make room on the disk; what was there is kept"):
            size = os.fstat(self._file).st_size
            try:
                write(self._file, entry.model_dump_json().encode() + b"\n")
            except OSError:
                os.ftruncate(self._file, size)
                raise
        self.history.fold(entry)

    def _take(self) -> None:
        """The kernel's lock, which ends with its process, ``kill -9`` included."""
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"'{self.path.parent}' is in use: another process labels these pairs", "wait until it has ended"
            ) from None

    def _read(self, file: int) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                self.history.fold(_entry.validate_json(line))
            except (ValidationError, ValueError) as error:
                raise DataError(
                    f"{self.path} line {number} is nothing that this version wrote: {str(error).splitlines()[0]}",
                    "restore the file, or give another --pairs to begin anew",
                ) from error
        if len(whole) < len(data):  # a crash tore the last line, which nobody was told of
            os.ftruncate(file, len(whole))


def write(file: int, data: bytes) -> None:
    """Writes all of ``data`` to an open file and waits until it is on disk."""
    while data:
        data = data[os.write(file, data) :]
    os.fsync(file)


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
