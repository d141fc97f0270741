"""Short names for models that are found or made without a hub: one file each.

A module here defines ``SUMMARY`` (one line) and ``find(folder, notify)``, which makes the model in the
empty directory ``folder``. The alias is the file's name with ``-`` for ``_``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

Notify = Callable[[str], None]
"""Is told in one line what takes long."""


class Alias(Protocol):
    """A module of this folder."""

    SUMMARY: str

    def find(self, folder: Path, notify: Notify) -> None:
        """Makes the model in ``folder``: configuration, safetensors, tokenizer.

        Raises:
            ModelError: it cannot be had; the hint says what would help.
        """


def aliases() -> dict[str, str]:
    """Name -> summary of each, in order of name."""
    here = Path(__file__).parent
    names = sorted(file.stem.replace("_", "-") for file in here.glob("*.py") if file.stem != "__init__")
    return {name: alias(name).SUMMARY for name in names}


def alias(name: str) -> Alias:
    """The module of an alias that ``aliases()`` lists."""
    return cast(Alias, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
