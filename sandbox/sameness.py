"""Whether two machines have the same code: a trial's numbers belong to the code that was approved."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata

from tunewright.domain.errors import SandboxError
from tunewright.sandbox.package import trial_files


@cache
def code_digest() -> str:
    """SHA-256 over the sources that run on a node."""
    total = hashlib.sha256()
    for name, path in trial_files():
        if path.suffix == ".py":
            total.update(f"{name}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def require_same(code: str, packages: Mapping[str, str]) -> None:
    """Checks that this machine has the host's code.

    Args:
        code: the host's ``code_digest``.
        packages: versions of distributions that can change a number; ``python`` is the interpreter.

    Raises:
        SandboxError: names the first thing that differs.
    """
    if code != code_digest():
        raise SandboxError(
            f"node '{platform.node()}' has another tunewright than the host",
            "install the same version on every node of the cluster",
        )
    for name, wanted in packages.items():
        found = _version(name)
        if found != wanted:
            raise SandboxError(
                f"node '{platform.node()}' has {name} {found or '(not installed)'}, the host {wanted}",
                "install the same versions on every node: pip install -c constraints.txt",
            )


def _version(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
