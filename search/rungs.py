"""Where the rungs of a study are, and what they are expected to spare."""

from __future__ import annotations

from tunewright.domain.job import Rungs
from tunewright.search.halving import ETA
from tunewright.search.pruning import open_scheduler

LOOK_ROWS = 96
"""Validation rows that are measured at a rung, so that it costs little against the training between two."""
_LEAST_STEPS = 8
"""Optimiser steps before a rung: fewer measure noise."""


def rungs_for(pruner: str, *, epochs: float, steps: int, rows: int) -> Rungs:
    """Two looks before the end of a trial of the default's length, at least eight steps apart; where it has no room for
    them, a scheduler that pauses looks at longer trials when they have had its length.

    Args:
        pruner: name of the scheduler.
        epochs: length of the default in passes over the data.
        steps: its optimiser steps.
        rows: of the validation split.
    """
    if pruner == "none":
        return Rungs()
    look = min(rows, LOOK_ROWS)
    if not open_scheduler(pruner).pauses:
        return Rungs(steps=(steps // 4, steps // 2), rows=look) if steps >= 3 * _LEAST_STEPS else Rungs()
    # A factor of eta apart down from the default's end; longer recipes have one more, at that end.
    places = [epochs / ETA**power for power in (2, 1, 0) if steps / ETA**power >= _LEAST_STEPS]
    return Rungs(epochs=tuple(places), rows=look) if places else Rungs()


def spared_share(pruner: str, rungs: Rungs, *, epochs: float) -> float:
    """What of a trial's cost is expected not to be spent, if it has the default's length: 0 is nothing.

    Where one in eta goes on at each rung. Half of that is counted on: the first trials go on for want of others, and
    what waits is gone on with where time is left.
    """
    if not rungs.epochs or not open_scheduler(pruner).pauses:
        return 0.0
    places = [*(place / epochs for place in rungs.epochs if place < epochs), 1.0]
    spent, before = 0.0, 0.0
    for number, place in enumerate(places):
        spent += (place - before) / ETA**number
        before = place
    return (1.0 - spent) / 2
