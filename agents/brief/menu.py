"""Everything a brief can name beside files, models and metrics: kinds of method, and what each is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunewright.agents.brief.naming import Naming

Shelf = Mapping[str, Naming]


@dataclass(frozen=True)
class Menu:
    """Kind -> its names, for each shelf of methods."""

    adapters: Shelf = field(default_factory=dict)
    objectives: Shelf = field(default_factory=dict)
    rewards: Shelf = field(default_factory=dict)
    selectors: Shelf = field(default_factory=dict)
    mixes: Shelf = field(default_factory=dict)
    in_place: frozenset[str] = frozenset()
    """Adapters that train the model's own weights."""
    rolling: frozenset[str] = frozenset()
    """Objectives that learn from rewards."""
    quoted: Mapping[str, str] = field(default_factory=dict)
    """Reward -> the setting that text in quotes after its name is."""
