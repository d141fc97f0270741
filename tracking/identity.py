"""Which code and which environment: what a reproduction compares before it trains."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import tunewright
from tunewright.domain.job import CodeIdentity

DECISIVE = ("torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "safetensors", "numpy")
"""Distributions whose version can change a number."""

_SUFFIXES = (".py", ".md")
_DIFF_BYTES = 2**20
_CODE = ("*.py", "*.md", "*.toml", "*.txt", "*.html", "Makefile", "*Dockerfile*")
_PRIVATE = ("*secret*", "*credential*", "*password*")


def code_identity(root: Path | None = None) -> CodeIdentity:
    """The identity of the code that trials run.

    Args:
        root: the package's folder, with ``tools`` and ``domain`` in it; by default the imported package's.
    """
    root = root or _package()
    checkout = _checkout(root)
    return CodeIdentity(
        version=_version("tunewright") or "unknown",
        digest=code_digest(root),
        packages={name: found for name in DECISIVE if (found := _version(name))}
        | {"python": platform.python_version()},
        git_commit=_git(checkout, "rev-parse", "HEAD") if checkout else None,
        git_dirty=bool(_git(checkout, "status", "--porcelain", "--untracked-files=no")) if checkout else None,
    )


def code_digest(root: Path) -> str:
    """SHA-256 over names and bytes of the sources in ``root/tools`` and ``root/domain``, links followed."""
    total = hashlib.sha256()
    for part in ("domain", "tools"):
        folder = (root / part).resolve()
        found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.suffix in _SUFFIXES}
        for name in sorted(found):
            content = hashlib.sha256(found[name].read_bytes()).hexdigest()
            total.update(f"{part}/{name}\0{content}\n".encode())
    return total.hexdigest()


@cache
def environment_lock() -> tuple[str, ...]:
    """Every installed distribution as ``name==version``, sorted; no address it came from, which may hold a password."""
    found = {
        re.sub(r"[-_.]+", "-", name).lower(): f"{name}=={dist.version}"
        for dist in metadata.distributions()
        if (name := dist.metadata["Name"])
    }
    return tuple(found[name] for name in sorted(found))


def code_changes(root: Path | None = None) -> str:
    """What the checkout's code differs by from its commit, as a diff of at most 1 MiB; empty if by nothing.

    Tracked source files only: whatever else lies in a checkout is nobody's business here.
    """
    checkout = _checkout(root or _package())
    if checkout is None:
        return ""
    only = [*_CODE, *(f":(exclude,icase){pattern}" for pattern in _PRIVATE)]
    diff = _git(checkout, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD", "--", *only) or ""
    kept = diff.encode()[:_DIFF_BYTES].decode(errors="ignore")
    return kept if kept == diff else f"{kept}\n[cut at 1 MiB]\n"


def _package() -> Path:
    return Path(tunewright.__file__).parent


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _checkout(root: Path) -> Path | None:
    """The checkout that the code itself is tracked in; an environment inside someone's project is not one."""
    source = (root / "tools" / "__init__.py").resolve()
    if not source.exists() or _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None
    top = _git(source.parent, "rev-parse", "--show-toplevel")
    return Path(top) if top else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None if there is no git, no checkout or no answer."""
    # Inside a git hook GIT_DIR names another repository than the folder's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip("\n") if done.returncode == 0 else None
