"""What a node keeps for jobs: models and inputs under their digest, and a folder for each attempt."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.domain.errors import SandboxError, boundary
from tunewright.sandbox import cluster
from tunewright.sandbox.freight import Parcel
from tunewright.sandbox.parcel import CONTENT, unpack
from tunewright.sandbox.record import identity, living, visible

STALE_S = 7 * 86400.0
"""What was not used for so long makes room when something new comes."""


@dataclass(frozen=True)
class NodeStore:
    """A folder of a node. Two nodes on one machine have one each."""

    root: Path
    node: str

    @classmethod
    def here(cls, folder: str | None) -> NodeStore:
        """The store of the node that this task runs on. Those of nodes of this machine that are no more are removed.

        Args:
            folder: where it lies; None for the temporary directory.

        Raises:
            SandboxError: the folder cannot be made, or is another user's.
        """
        node = cluster.here()
        with boundary(SandboxError, "make a folder on the node", "give another with --sandbox-option folder=PATH"):
            home = _own(Path(folder or tempfile.gettempdir()) / f"tunewright-{os.getuid()}")
            root = _own(home / node[:16])
            owner = root / "owner"
            if not owner.exists():
                # A worker's parent is the node's own process: while that lives, the node does.
                fresh = root / f"owner.{os.getpid()}"
                fresh.write_text(identity(os.getppid()))
                fresh.replace(owner)
                _reap(home)
            for part in ("cache", "jobs"):
                (root / part).mkdir(exist_ok=True)
        return cls(root, node)

    def place(self, token: str) -> Path:
        """The folder of an attempt, not made yet."""
        return self.root / "jobs" / token

    def fetch(self, parcel: Parcel, fetched: list[str]) -> Path:
        """The parcel's content on this node, read-only; unpacked at its first use.

        Args:
            fetched: gets the digest if it was not here.

        Raises:
            SandboxError: what came is not what was sent, or the disk refuses.
        """
        kept = self.root / "cache" / parcel.digest
        with boundary(SandboxError, "unpack what the job needs"), _lock(kept.with_suffix(".lock")):
            if not kept.exists():
                self._clear()
                self._unpack(parcel, kept)
                fetched.append(parcel.digest)
            os.utime(kept)
        return kept / CONTENT

    def stream(self, references: Sequence[Any]) -> Iterator[bytes]:
        """The pieces behind references, each brought here when its turn has come."""
        import ray

        for reference in references:
            yield ray.get(reference)

    def _unpack(self, parcel: Parcel, kept: Path) -> None:
        partial = kept.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        found = unpack(self.stream(parcel.pieces), partial)
        if found != parcel.digest:
            shutil.rmtree(partial)
            raise SandboxError(f"what came to the node has digest {found[:12]}, {parcel.digest[:12]} was sent")
        for path in partial.rglob("*"):
            if path.is_file():
                path.chmod(0o444)
        partial.rename(kept)

    def _clear(self) -> None:
        """Removes what nobody has used for long; a job that runs has links of its own to its inputs."""
        for entry in (self.root / "cache").iterdir():
            with suppress(OSError):
                if entry.is_dir() and time.time() - entry.stat().st_mtime > STALE_S:
                    shutil.rmtree(entry, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process of this node at a time; let go by the kernel if that dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _own(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise SandboxError(
            f"'{folder}' on the node is not ours", "remove it, or give another with --sandbox-option folder=PATH"
        )
    return folder


def _reap(home: Path) -> None:
    """Removes the stores of nodes of this machine that have ended."""
    for root in home.iterdir():
        with suppress(OSError):
            owner = (root / "owner").read_text()
            if visible(owner) and living(owner) is None:
                shutil.rmtree(root, ignore_errors=True)
