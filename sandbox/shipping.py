"""Puts files into the cluster's object store, each content once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tunewright.domain.errors import SandboxError, boundary
from tunewright.sandbox.freight import Parcel
from tunewright.sandbox.parcel import digest, listing, pack, pack_files, pieces

KEPT = 16
"""Contents that stay in the store after the jobs that used them: a study's model and data, and the newest adapters."""


class Shipping:
    """May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: dict[tuple[str, tuple[Any, ...]], str] = {}
        self._parcels: OrderedDict[str, Parcel] = OrderedDict()

    def parcel(self, path: Path) -> Parcel:
        """The file or folder in the store; put there if its content is not there yet.

        Raises:
            SandboxError: it cannot be read, or the store does not take it.
        """
        with self._lock, boundary(SandboxError, f"put '{path}' into the cluster's object store"):
            name = self._name(path)
            if name not in self._parcels:
                self._parcels[name] = Parcel(name, put(pack(path)))
            self._parcels.move_to_end(name)
            while len(self._parcels) > KEPT:
                # Jobs that run hold references of their own.
                self._parcels.popitem(last=False)
            return self._parcels[name]

    def inputs(self, folder: Path) -> dict[str, Parcel]:
        """What is in a job's ``in/``, each entry by itself: trials share their data, evaluations theirs."""
        return {entry.name: self.parcel(entry) for entry in sorted(folder.iterdir())}

    def _name(self, path: Path) -> str:
        """The content's digest; read again only when a file was written anew."""
        key = (str(path.resolve()), _marks(path))
        if key not in self._digests:
            self._digests[key] = digest(pack(path))
        return self._digests[key]


def put(stream: Iterable[bytes]) -> tuple[Any, ...]:
    """References to the stream's pieces in the store."""
    import ray

    return tuple(ray.put(piece) for piece in pieces(stream))


def put_state(out: Path) -> tuple[Any, ...]:
    """What earlier attempts have left in ``out/``, in the store."""
    names = sorted(listing(out, ("tmp",)))
    return put(pack_files(out, names)) if names else ()


def _marks(path: Path) -> tuple[Any, ...]:
    files = [path] if path.is_file() else sorted(inner for inner in path.rglob("*") if inner.is_file())
    return tuple((str(file), (status := file.stat()).st_ino, status.st_mtime_ns, status.st_size) for file in files)
