"""The search benchmark's files, which are no package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SEARCH = Path(__file__).parents[2] / "benchmarks" / "search"


@pytest.fixture
def bench() -> Iterator[Any]:
    """Imports a file of the benchmark by name."""
    before = set(sys.modules)
    sys.path.insert(0, str(SEARCH))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(SEARCH))
        here = {path.stem for path in SEARCH.glob("*.py")}
        for name in here & (set(sys.modules) - before):
            del sys.modules[name]
