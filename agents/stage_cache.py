"""Finished stages of a study's trials, kept for trials that begin with the same ones.

A trial leaves its stages but the last in ``out/prefix/``; they are filed under the hash of all that decides what they
are. A later trial whose recipe begins likewise is given them as an input and trains from there on, to the same bytes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tunewright.domain.job import TrialSpec

INPUT = "prefix"
"""Name of the input, and of the folder in ``out/`` that a trial leaves."""


class StageCache:
    """The finished stages of one study.

    Args:
        folder: the study's.
    """

    def __init__(self, folder: Path) -> None:
        self._home = folder / "stages"

    def inputs(self, spec: TrialSpec) -> dict[str, Path]:
        """The longest beginning of the recipe that is there, as an input of the job; empty if none is."""
        for index in reversed(range(len(spec.recipe.stages) - 1)):
            found = self._home / spec.stage_key(index)
            if found.is_dir():
                return {INPUT: found}
        return {}

    def collect(self, spec: TrialSpec, out: Path) -> None:
        """Files what a trial left. A stage is there whole or not at all; what is there already stays."""
        left = out / INPUT
        for index in range(len(spec.recipe.stages) - 1):
            source, target = left / str(index), self._home / spec.stage_key(index)
            if source.is_dir() and not target.exists():
                self._home.mkdir(parents=True, exist_ok=True)
                source.replace(target)
        shutil.rmtree(left, ignore_errors=True)
