"""The share of a row's tests that the code in the answer passes, as APPS counts it (Hendrycks et al., arXiv 2105.09938:
"test case average").

Code and one test at a time run in a cell (``tools/cell``): a process of their own without environment, network and
files, bounded in time and memory, inside the sandbox that the trial is in. A test may be fooled by code that is written
to fool it, such as an object that equals everything; that is what a policy learns if the tests let it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import Field

from tunewright.domain.errors import DataError
from tunewright.tools.cell.cell import Bounds, Cell
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.reward import Court, Judge, RewardMethod, each

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


class UnitTestsConfig(MethodConfig):
    """Where the tests are and what they may use."""

    tests: str = "tests"
    """Column of the rows with the tests: a list of pieces of Python, each of which passes if it raises nothing, such as
    ``assert add(1, 2) == 3``; or one piece."""
    setup: str = ""
    """Column with Python that runs before the answer's code, such as imports. Empty: none."""
    all_or_nothing: bool = False
    """1 if every test passes and 0 if one does not, instead of the share (strict accuracy in APPS)."""
    timeout_s: float = Field(2.0, gt=0)
    """What one test may take."""
    memory_mib: int = Field(512, ge=64)
    """What one test may hold, the interpreter included."""


class UnitTests(RewardMethod):
    """Code that does not run at all is worth 0, and its tests are not tried."""

    kind = "unit_tests"
    summary = "share of the row's tests that the code in the answer passes"
    source = "arXiv 2105.09938"
    names = ("unit tests", "test cases", "unit test reward")
    Config = UnitTestsConfig
    apart = False

    def open(self, settings: Any, court: Court) -> Judge:
        """Tries whether a cell works here."""
        cell = Cell(Bounds(wall_s=settings.timeout_s, memory_mib=settings.memory_mib))
        cell.check()

        def score(text: str, row: Row) -> float:
            tests = _column(row, settings.tests)
            setup = _column(row, settings.setup) if settings.setup else []
            code = code_of(text)
            if not cell.passes(*setup, code):
                return 0.0
            passed = sum(cell.passes(*setup, code, test) for test in tests)
            return float(passed == len(tests)) if settings.all_or_nothing else passed / len(tests)

        return each(score)


def code_of(text: str) -> str:
    """The last fenced block of Markdown, also one that is cut off before its end; the whole text if there is none."""
    blocks = _FENCE.findall(text)
    return str(blocks[-1]) if blocks else text


def _column(row: Row, name: str) -> list[str]:
    """The pieces of Python in a column: a list, a list as JSON text, or one piece."""
    found = row["meta"].get(name)
    if isinstance(found, str) and found.lstrip().startswith("["):
        try:
            found = json.loads(found)
        except ValueError:
            found = [found]
    pieces = [found] if isinstance(found, str) else found
    if not isinstance(pieces, list) or not pieces or not all(isinstance(piece, str) for piece in pieces):
        raise DataError(
            f"row {row['id']} has no Python in column '{name}', got {found!r:.80}", "give a list of tests in each row"
        )
    return pieces


METHOD = UnitTests()
