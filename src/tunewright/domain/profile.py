"""What was found in the data before anything was decided."""

from __future__ import annotations

from pydantic import Field

from tunewright.domain.frozen import Frozen


class SourceProfile(Frozen):
    """One data source."""

    name: str
    rows: int = Field(ge=0)
    skipped: tuple[str, ...] = ()
    """Rows left out on request, each as ``FILE line N: reason``."""
    withheld: int = Field(0, ge=0)
    """Rows left out because their content is among the rows that are measured; of sources that are trained on alone."""


class DataProfile(Frozen):
    """All sources together, after reading and before splitting."""

    sources: tuple[SourceProfile, ...]
    rows: int
    duplicates: int = 0
    """Rows whose content equals an earlier row's. They are kept on the same side of the split."""
    empty: int = 0
    """Rows with an empty input or target."""
    characters: tuple[int, int, int] = (0, 0, 0)
    """Median, 95th percentile and maximum length of input and target together."""
    labels: dict[str, int] = {}
    """Label -> rows, for format ``label``."""
    warnings: tuple[str, ...] = ()
    """What a person should know, one line each."""
