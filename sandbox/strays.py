"""What a job may leave in ``out/`` is plain files and folders. Anything else would make the host read, write or wait
where the job wants it to: a link points at files that the job itself cannot see, and a pipe never ends.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

NAMED = 5
"""How many are told by name."""


def sweep(out: Path) -> str:
    """Removes links, pipes, sockets and devices from ``out``; links are not followed.

    To be called while no process of the job is left.

    Returns:
        What was removed, in a few words; nothing if nothing was.
    """
    found = list(_strays(out))
    for path, _ in found:
        path.unlink(missing_ok=True)
    out.mkdir(exist_ok=True)
    if not found:
        return ""
    named = ", ".join(f"{path.relative_to(out.parent).as_posix()!r} ({kind})" for path, kind in found[:NAMED])
    return named + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def _strays(out: Path) -> Iterator[tuple[Path, str]]:
    if out.is_symlink():
        yield out, "a link"
        return
    for folder, folders, files in os.walk(out):
        for name in (*folders, *files):
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield path, f"a link to {str(path.readlink())[:200]!r}"
            elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                yield path, "no file"


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a plain file that somebody untrusted may have put there.

    Raises:
        OSError: it is not there, is a link, or is no file.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"'{path}' is no plain file")
    return descriptor
