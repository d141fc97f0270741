"""How far a trial is: the same for all that were trained as much, whatever is still before them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pace:
    """Amounts of training, such as passes over the data, as numbers from 0 to 1 on a logarithmic scale.

    A short recipe's end is then where a long one's rung is, so that each says something of the other.
    """

    shortest: float
    longest: float
    """Amounts at 0 and at 1."""
    lengths: frozenset[str]
    """Parameters whose values are amounts: how long a trial that has one trains. Others train the longest."""
    rungs: tuple[float, ...] = ()
    """Amount at each rung, whose steps are numbered from 1; empty where the steps are amounts themselves."""

    def at(self, amount: float) -> float:
        """Where an amount lies; below 0 or above 1 where it is outside."""
        if self.longest <= self.shortest:
            return 1.0
        return math.log(amount / self.shortest) / math.log(self.longest / self.shortest)

    def amount(self, place: float) -> float:
        """The inverse of ``at``."""
        return self.shortest * math.exp(place * math.log(self.longest / self.shortest))

    def at_step(self, step: int) -> float | None:
        """Where a step that was reported lies; None if it is no rung."""
        if not self.rungs:
            return self.at(step) if step > 0 else None
        return self.at(self.rungs[step - 1]) if 1 <= step <= len(self.rungs) else None

    def at_end(self, params: Mapping[str, Any]) -> float:
        """Where the end of a trial with these parameters lies."""
        name = self.length(params)
        return 1.0 if name is None else self.at(float(params[name]))

    def length(self, names: Collection[str]) -> str | None:
        """The one of these parameters that says how long a trial is; None if there is none, or several share in it."""
        found = [name for name in names if name in self.lengths]
        return found[0] if len(found) == 1 else None
