"""Files and folders as a stream of bytes: the same bytes for the same content, so that a digest names it."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

CONTENT = "content"
"""What a packed file or folder is called inside."""
PIECE_BYTES = 8 << 20
_BLOCK = 512
_READ_BYTES = 1 << 20


def pack(root: Path) -> Iterator[bytes]:
    """A file, or a folder with all below it, as a tar stream; links are followed. Unpacks as ``CONTENT``.

    Names, sizes and contents decide every byte; owners, times and modes do not.
    """
    yield from _stream(_members(root, CONTENT))


def pack_files(folder: Path, names: Sequence[str]) -> Iterator[bytes]:
    """The named files below ``folder``, under their own names."""
    yield from _stream((name, folder / name) for name in names)


def pieces(blocks: Iterable[bytes], size: int = PIECE_BYTES) -> Iterator[bytes]:
    """The same bytes in pieces of ``size``, the last one smaller."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def digest(blocks: Iterable[bytes]) -> str:
    """SHA-256 over a stream."""
    total = hashlib.sha256()
    for block in blocks:
        total.update(block)
    return total.hexdigest()


def unpack(stream: Iterable[bytes], folder: Path) -> str:
    """Unpacks into ``folder``. Gives the digest of what came; it is for the caller to compare it.

    Raises:
        tarfile.TarError: the stream is none of ours, or holds what would be written outside ``folder``.
    """
    source = _Source(stream)
    with tarfile.open(fileobj=source, mode="r|") as archive:
        archive.extractall(folder, filter="data")
    while source.read(_READ_BYTES):
        pass  # the padding after the last member counts too
    return source.digest.hexdigest()


def listing(folder: Path, leave_out: Sequence[str] = ()) -> dict[str, tuple[int, int, int]]:
    """The regular files below ``folder`` by relative name, each with what changes when it is written anew.

    Args:
        leave_out: names directly below ``folder`` that are not looked at.
    """
    found: dict[str, tuple[int, int, int]] = {}
    for place, folders, names in os.walk(folder):
        apart = leave_out if Path(place) == folder else ()
        folders[:] = [name for name in folders if name not in apart]
        for name in (name for name in names if name not in apart):
            path = Path(place) / name
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue  # the job moves its files while we look
            if stat.S_ISREG(status.st_mode):
                found[str(path.relative_to(folder))] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def _members(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    yield name, path
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            yield from _members(inner, f"{name}/{inner.name}")


def _stream(members: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    for name, path in members:
        yield from _member(name, path)
    yield bytes(2 * _BLOCK)


def _member(name: str, path: Path) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    if path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        yield info.tobuf(tarfile.PAX_FORMAT)
        return
    with path.open("rb") as file:
        info.size, info.mode = os.fstat(file.fileno()).st_size, 0o644
        yield info.tobuf(tarfile.PAX_FORMAT)
        left = info.size  # a log may grow while it is read
        while left:
            block = file.read(min(_READ_BYTES, left))
            if not block:
                raise OSError(f"'{path}' was cut short while it was read")
            left -= len(block)
            yield block
    yield bytes(-info.size % _BLOCK)


class _Source(io.RawIOBase):
    """A stream of bytes to read from, digested on the way."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._stream = iter(stream)
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, fewer only at the end."""
        parts: list[bytes] = []
        missing = size
        while missing:
            if not self._held:
                block = next(self._stream, b"")
                if not block:
                    break
                self.digest.update(block)
                self._held = memoryview(block)
            taken, self._held = self._held[:missing], self._held[missing:]
            parts.append(bytes(taken))
            missing -= len(taken)
        return b"".join(parts)
