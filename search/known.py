"""What was worked out of trials, for whoever asks about the same ones next."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunewright.search.encoding import Rows
from tunewright.search.evidence import Said


@dataclass(frozen=True)
class Known:
    """Of the trials of one tree. Only a cache: what is not in it is worked out again."""

    rows: Rows
    said: Said = field(default_factory=dict)
