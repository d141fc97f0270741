"""What a session of labelling keeps beside its file of pairs: the candidates as they were, and their features."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tunewright.domain.errors import DataError, UsageError, boundary
from tunewright.domain.frozen import content_hash, short
from tunewright.tools.preference.candidate import Candidates
from tunewright.tools.preference.journal import Began
from tunewright.tools.preference.laplace import Array

_CANDIDATES = "candidates.jsonl"


def folder_of(pairs: Path) -> Path:
    """The folder of the session that writes ``pairs``.

    Raises:
        UsageError: no session can write there.
    """
    if pairs.suffix != ".jsonl":
        raise UsageError(f"'{pairs}' cannot hold pairs: expected a name that ends in .jsonl", "such as pairs.jsonl")
    if pairs.is_dir():
        raise UsageError(f"'{pairs}' is a directory", f"name a file in it: {pairs / 'pairs.jsonl'}")
    return pairs.with_name(f"{pairs.stem}.session")


class Store:
    """The files of one session, save its journal.

    Args:
        folder: the journal's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def freeze(self, candidates: Sequence[Candidates]) -> str:
        """Keeps the candidates as they are now; gives the file's SHA-256."""
        data = b"".join(one.model_dump_json().encode() + b"\n" for one in candidates)
        self._write(_CANDIDATES, data)
        return hashlib.sha256(data).hexdigest()

    def candidates(self, began: Began) -> tuple[Candidates, ...]:
        """The candidates that a session began with.

        Raises:
            DataError: the file is gone or has changed.
        """
        path = self._folder / _CANDIDATES
        with boundary(DataError, f"read '{path}'", "restore it, or give another --pairs to begin anew"):
            data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != began.candidates:
            raise DataError(
                f"'{path}' has changed since labelling began", "restore it, or give another --pairs to begin anew"
            )
        return tuple(Candidates.model_validate_json(line) for line in data.split(b"\n")[:-1])

    def features(self, origin: Mapping[str, str], make: Callable[[], Array]) -> Array:
        """(N, H) features, made once for each ``origin``."""
        path = self._folder / f"features-{short(content_hash(dict(origin)))}.npy"
        try:
            with path.open("rb") as file:
                found: Array = np.load(file, allow_pickle=False)
        except (OSError, ValueError):  # not made yet, or torn by a crash
            found = make()
            self._write(path.name, _npy(found))
        return found

    def _write(self, name: str, data: bytes) -> None:
        """The whole file or none."""
        path = self._folder / name
        scratch = self._folder / f".{name}"
        with boundary(UsageError, f"write '{path}'", "give --pairs a place that can be written"):
            with scratch.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)


def _npy(array: Array) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def check_origin(began: Began, origin: Mapping[str, str], pairs: Path) -> None:
    """Whether a session can be taken up with what is given now.

    Raises:
        UsageError: it began with something else.
    """
    for name in dict.fromkeys([*began.origin, *origin]):
        was, now = began.origin.get(name, "none"), origin.get(name, "none")
        if was != now:
            raise UsageError(
                f"'{pairs}' was begun with another {name}: {was[:12]}, and now it is {now[:12]}",
                "give what it was begun with, or another --pairs to begin anew",
            )
