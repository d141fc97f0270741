"""How a study went: what its best recipe so far was worth, against what it had cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Course:
    """Filled as a study goes; costs are in seconds of the recorded trainings."""

    points: list[tuple[float, float]] = field(default_factory=list)
    """(spent, what the recipe with the best score so far is worth over all seeds), where it changed."""
    launches: list[int] = field(default_factory=list)
    """Trials launched by then, of each of ``points``."""
    spent_s: float = 0.0
    launched: int = 0
    infeasible: int = 0
    """Launched and ended by a fault of the recipe."""
    items: int = 0
    """Validation items that were scored."""
    best_score: float = -math.inf
    best_recipe: object = None
    asked_s: float = 0.0
    """Processor time for ideas and for steering."""

    def ended(self, score: float, recipe: object, worth: float) -> None:
        """A trial was measured at its end."""
        if score > self.best_score:
            self.best_score, self.best_recipe = score, recipe
            self.points.append((self.spent_s, worth))
            self.launches.append(self.launched)

    def at(self, spent_s: float, before: float) -> float:
        """What the best so far was worth; ``before`` while there was none."""
        found = before
        for spent, worth in self.points:
            if spent > spent_s:
                break
            found = worth
        return found

    def cost_to(self, worth: float) -> float:
        """Seconds until the best so far was worth that; infinite if it never was."""
        return next((spent for spent, found in self.points if found >= worth - 1e-9), math.inf)

    def trials_to(self, worth: float) -> float:
        """Trials launched by then; infinite if it never was."""
        reached = (count for count, (_, found) in zip(self.launches, self.points, strict=True) if found >= worth - 1e-9)
        return next(reached, math.inf)
