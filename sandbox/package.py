"""The part of our own package that a trial needs: an image holds it, and every node of a cluster has the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunewright.sandbox.mount import package_places

PARTS = ("domain", "sandbox", "tools")
ROOT_FILES = ("__init__.py", "peft_import.py")
"""And of its root."""


def trial_files() -> Iterator[tuple[str, Path]]:
    """Each file with its name below our package, always in the same order."""
    root = next(package_places())
    for name in ROOT_FILES:
        yield name, root / name
    for part in PARTS:
        source = (root / part).resolve()
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{part}/{path.relative_to(source)}", path
