"""Training rows that a choice is measured on and that are not trained on, told by their content.

Never rows of the study's validation split: a choice that has seen those would be measured on what it was made for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from tunewright.tools.data.rows import Row

HELD_OUT = 0.1
"""Share of the rows, where a setting does not say otherwise."""


def held_out(rows: Sequence[Row], share: float, most: int | None = None) -> list[int]:
    """Indices of about ``share`` of the rows, ascending.

    Which ones follows from the contents alone and not from their order. Copies of a content are held out together, so
    none of them is trained on; one content at least is held out and one is not, where there are two.

    Args:
        most: no more than so many contents.
    """
    copies: dict[bytes, list[int]] = {}
    for index, row in enumerate(rows):
        copies.setdefault(_digest(row), []).append(index)
    count = min(max(1, round(share * len(copies))), len(copies) - 1)
    chosen = sorted(copies)[: count if most is None else min(count, most)]
    return sorted(index for digest in chosen for index in copies[digest])


def _digest(row: Row) -> bytes:
    # The word keeps this apart from the order in which objectives hold rows out.
    content = json.dumps(["chosen by", row["input"], row["target"], row.get("messages"), row.get("rejected")])
    return hashlib.sha256(content.encode()).digest()
