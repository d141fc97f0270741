"""When a study that is told again takes in what its models had said: where it did so when it was recorded.

A recording answers at once, a server after a trial or two. What was proposed meanwhile was proposed without the answer,
so that it has to come as late again: not before as many proposals, launches and ends as there were before it then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunewright.agents.beside.work import Work
from tunewright.agents.beside.works import EXPLANATION, IDEAS, REFLECTION
from tunewright.domain import event as ev
from tunewright.domain.errors import TunewrightError
from tunewright.domain.stock import Stock

Lands = Callable[[Work, str], int]


def landings(folder: Path) -> Lands:
    """Work and what was due -> ``Stock.turns`` when the study in ``folder`` took it in; 0 for what it did not.

    Args:
        folder: a study's; without a journal in it everything is taken in at once.
    """
    from tunewright.tracking.journal import events

    try:
        told = events(folder)[0] if folder.is_dir() else []
    except TunewrightError:
        told = []
    stock, found = Stock(), dict[tuple[str, str], int]()
    for one in told:
        match one:
            case ev.Explained():
                found[EXPLANATION, one.trial] = stock.turns
            case ev.Reflected():
                found[REFLECTION, ",".join(one.trials)] = stock.turns
            case ev.Advised():
                found[IDEAS, str(one.asked_after)] = stock.turns
        stock.fold(one)
    return lambda work, key: found.get((work.name, key), 0)
