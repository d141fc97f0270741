"""What of the host a container sees: the job, the model and, on request, the interpreter with its libraries.

Mounting the host's own environment needs no image with Python in it: see docs/decisions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tunewright.domain.errors import SandboxError

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/nix/store")
"""Where a Linux keeps programs and shared libraries. On most, all but ``/usr`` are links into it."""
LOADER = ("/etc/ld.so.cache", "/etc/alternatives")
"""How the dynamic loader finds them."""


@dataclass(frozen=True)
class Mount:
    """A directory or file of the host at a place in the container."""

    source: str
    target: str
    read_only: bool = True


def job_mounts(folder: Path) -> list[Mount]:
    """The job: all of it to read, ``out/`` to write."""
    return [Mount(str(folder), "/job"), Mount(str(folder / "out"), "/job/out", read_only=False)]


def model_mounts(model: Path) -> tuple[list[Mount], str]:
    """The mounts for a model directory, and its path inside.

    A hub's cache holds links to files beside the directory: then all is mounted where the host has it, so that
    the links lead where they should.
    """
    model = model.absolute()
    outside = sorted({str(path.resolve().parent) for path in model.rglob("*") if _leads_out(path, model)})
    if not outside:
        return [Mount(str(model.resolve()), "/model")], "/model"
    return [Mount(place, place) for place in (str(model), *outside)], str(model)


def interpreter_mounts(job: Path) -> list[Mount]:
    """This interpreter, its packages and our own source, each where the host has it.

    ``PYTHONPATH`` is part of how the host finds its packages, so its directories are mounted too, unless one
    holds ``job``: then it would show the job more of the study than its own folder.
    """
    places = [Path(sys.prefix), Path(sys.base_prefix), *package_places()]
    given = [Path(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    places += [place for place in given if place.is_dir() and not job.resolve().is_relative_to(place.resolve())]
    return _outermost([place for place in places if not _in_system(place)])


def system_mounts() -> list[Mount]:
    """The host's programs and shared libraries, where they are real directories, and the loader's cache."""
    places = [Path(place) for place in (*SYSTEM, *LOADER)]
    return [Mount(str(place), str(place)) for place in places if place.exists() and not place.is_symlink()]


def system_links() -> dict[str, str]:
    """The system directories that are links on this host, with where they lead."""
    return {place: os.readlink(place) for place in SYSTEM if os.path.islink(place)}  # noqa: PTH114, PTH115  as text


def package_places() -> Iterator[Path]:
    """The directories our own package is made of: with an editable install, its departments are links."""
    package = Path(__file__).resolve().parents[1]
    root = Path(sys.modules["tunewright"].__file__ or package / "__init__.py").parent
    yield root
    for entry in root.iterdir():
        if entry.is_symlink() and entry.is_dir():
            yield entry.resolve()


def require_readable(uid: int, *places: Path) -> None:
    """Checks that a user who is not the owner can read them: the container's user is nobody.

    Raises:
        SandboxError: names the first that it cannot.
    """
    if uid == os.getuid():
        return
    for place in places:
        for path in (place, *place.rglob("*")):
            status = path.stat()
            needed = 0o005 if path.is_dir() else 0o004
            if status.st_uid != uid and status.st_mode & needed != needed:
                raise SandboxError(
                    f"the container's user {uid} could not read '{path}'", f"let others read: chmod -R a+rX '{place}'"
                )


def _leads_out(path: Path, folder: Path) -> bool:
    return path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())


def _in_system(place: Path) -> bool:
    return any(place.resolve().is_relative_to(system) for system in ("/usr", "/nix/store"))


def _outermost(places: list[Path]) -> list[Mount]:
    """A mount for each, without those that lie inside another."""
    kept = {place for place in places if not any(place != other and place.is_relative_to(other) for other in places)}
    return [Mount(str(place), str(place)) for place in sorted(kept)]
