"""What LangGraph checkpoints between nodes: ids only. The journal is the truth; a lost checkpoint costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict


class State(TypedDict):
    """The graph's state."""

    study: str


Node = Callable[[State], State]
"""Does one step and writes it to the journal. May run again for the same state: it looks at the journal first."""
