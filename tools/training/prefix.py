"""Stages that need not be trained: what a job leaves of its finished stages for others, and takes up from others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

COUNTERS, CURVE = "stages.json", "curve.jsonl"
_FOLDER = "prefix"


def leave(out: Path, index: int) -> None:
    """Puts what the stages up to ``index`` are into ``out/prefix/INDEX``: their adapters, counters and curve.

    Files are hard links where the file system allows. It is there whole or not at all.
    """
    target = out / _FOLDER / str(index)
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for stage in range(index + 1):
        shutil.copytree(out / "stages" / str(stage), partial / "stages" / str(stage), copy_function=_linked)
    for name in (COUNTERS, CURVE):
        shutil.copyfile(out / name, partial / name)  # appended to or replaced later: no links
    partial.replace(target)


def take_up(given: Path, out: Path) -> bool:
    """Lays the stages of an earlier trial out as if this job had finished them, if it has finished none itself.

    Args:
        given: the input, which need not be there.

    Returns:
        Whether it did.
    """
    if not given.is_dir() or (out / "stages").exists() or (out / "adapter").exists():
        return False
    for name in (COUNTERS, CURVE):
        shutil.copyfile(given / name, out / name)
    partial = out / "stages.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(given / "stages", partial)
    for path in partial.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # inputs are read-only, and stages are moved about
    partial.replace(out / "stages")
    return True


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
