"""How often a study whose recipes are all the same claims a winner, over recorded trainings of one recipe.

Twelve trainings of the default recipe stand for twelve trials; the best three and the first are trained again on
three seeds each, which nobody has seen, and claims are made as at the end of a study: over seeds and items, corrected
for all comparisons. To take the best score for the winner would be false every time.
"""

from __future__ import annotations

import numpy as np
from table import Table

from tunewright.agents.claim import ERROR_RATE
from tunewright.tools.evaluation.holm import holm
from tunewright.tools.evaluation.replication import Repeated, contrast, seed_spread

TRIALS, FINALISTS, REPEATS = 12, 3, 3


def false_winners(table: Table, studies: int, seed: int = 0) -> int:
    """Of so many studies, those that claim one."""
    rng = np.random.default_rng(seed)
    runs = np.array([record.rungs[-1].items for record in table.same()], dtype=np.float64)
    needed = TRIALS + (FINALISTS + 1) * REPEATS
    return sum(_claims(runs[rng.choice(len(runs), needed, replace=False)]) for _ in range(studies))


def _claims(runs: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    """Whether one of the finalists is said to be better than the first trial.

    Args:
        runs: (TRIALS + (FINALISTS + 1) * REPEATS, rows) right or wrong: the trials, then the repeats.
    """
    search, fresh = runs[:TRIALS], list(runs[TRIALS:].reshape(FINALISTS + 1, REPEATS, -1))
    finalists = [int(i) + 1 for i in np.argsort(-search[1:].mean(axis=1), kind="stable")[:FINALISTS]]
    default = Repeated("t0", np.vstack([search[:1], fresh[-1]]))
    chosen = {i: Repeated(f"t{i}", own, search[i]) for i, own in zip(finalists, fresh, strict=False)}
    spread = seed_spread([default, *chosen.values()])
    everyone = [chosen.get(i) or Repeated(f"t{i}", search[i][None]) for i in range(1, TRIALS)]
    found = [contrast(one, default, spread, exact=False) for one in everyone]
    adjusted = holm([one.p for one in found])
    return any(adjusted[i - 1] < ERROR_RATE and found[i - 1].gain > 0 for i in finalists)
