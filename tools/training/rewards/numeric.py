"""Whether the number that an answer names is the target's, within a tolerance.

How answers to GSM8K are marked (Cobbe et al., arXiv 2110.14168): by the final number, whatever is said before it. The
tolerance is ours.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import DataError
from tunewright.tools.data.rows import Row
from tunewright.tools.training.answer import AnswerConfig, each_content
from tunewright.tools.training.reward import Court, Judge, RewardMethod

_NUMBER = re.compile(r"(?:(?<![\w.)])[-+])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")


class NumericConfig(AnswerConfig):
    """Which number counts and how near it must be."""

    pick: Literal["last", "first"] = "last"
    """Which number of the answer, and of the target, is meant."""
    tolerance: float = Field(1e-6, ge=0)
    """How far it may be from the target's."""
    relative: float = Field(0.0, ge=0)
    """How far it may be, as a share of the larger of the two; the more generous of both limits holds."""


class Numeric(RewardMethod):
    """1 if the number is near enough, 0 if it is not or there is none."""

    kind = "numeric"
    summary = "the number in the answer is the target's, within a tolerance: 1, else 0"
    source = "arXiv 2110.14168"
    names = ("numeric match", "numeric reward")
    plain_word = True
    Config = NumericConfig
    apart = False

    def open(self, settings: Any, court: Court) -> Judge:
        """Reads ``-1,234.5``, ``.5`` and ``2e3``; fractions and units are not computed with."""

        def score(said: str, row: Row) -> float:
            wanted = number(row["target"], settings.pick)
            if wanted is None or not math.isfinite(wanted):
                raise DataError(
                    f"the target of row {row['id']} has no number, which the reward 'numeric' compares with",
                    "take exact_match, or give targets with numbers",
                )
            found = number(said, settings.pick)
            near = found is not None and math.isclose(
                found, wanted, rel_tol=settings.relative, abs_tol=settings.tolerance
            )
            return float(near)

        return each_content(settings.within, score)


def number(text: str, pick: Literal["last", "first"]) -> float | None:
    """The last or first number in a text; None if there is none. A sign after a digit is a dash."""
    found = _NUMBER.findall(text.replace("\N{MINUS SIGN}", "-"))
    return float(found[-1 if pick == "last" else 0].replace(",", "")) if found else None


METHOD = Numeric()
