"""What goes on beside the trials, in the order in which it is looked at: why a trial gained, what is learned of those
that have ended, ideas for those to come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tunewright.agents import explaining
from tunewright.agents.advice.asking import ROLE as PROPOSER
from tunewright.agents.advice.asking import advise
from tunewright.agents.advice.turns import ideas_due
from tunewright.agents.beside.left import panel_asks, panel_roles, unexplained
from tunewright.agents.beside.work import Warn, Work
from tunewright.agents.reflection.experiments import next_experiment
from tunewright.agents.reflection.panel import Panel
from tunewright.agents.routing import unreflected
from tunewright.domain.event import Event
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study

Brains = Callable[[str], Brain | None]
"""Role -> its language model, or None for the rules."""
EXPLANATION, REFLECTION, IDEAS = "explanation", "reflection", "ideas"


def works(folder: Path, brains: Brains, keep: Callable[[Study], object]) -> list[Work]:
    """Those of one study.

    Args:
        folder: the study's.
        keep: tells the memory of all studies what was learned.
    """
    return [_explaining(folder, brains), _reflecting(folder, brains, keep), _advising(folder, brains)]


def _explaining(folder: Path, brains: Brains) -> Work:
    def due(study: Study) -> str | None:
        return next((one.trial for one in unexplained(study)), None)

    def do(study: Study, warn: Warn) -> Sequence[Event]:
        return [explaining.explain(study, folder, unexplained(study)[0], brains(explaining.ROLE), warn)]

    return Work(EXPLANATION, due, do, (explaining.ROLE,))


def _reflecting(folder: Path, brains: Brains, keep: Callable[[Study], object]) -> Work:
    def due(study: Study) -> str | None:
        trials = unreflected(study)
        return ",".join(trials) if trials and panel_asks(study) else None

    def do(study: Study, warn: Warn) -> Sequence[Event]:
        return Panel(folder, brains, warn).meet(study, unreflected(study))

    return Work(REFLECTION, due, do, panel_roles(), keep)


def _advising(folder: Path, brains: Brains) -> Work:
    def due(study: Study) -> str | None:
        if study.options.model_of(PROPOSER) is None or not ideas_due(study, next_experiment):
            return None
        return str(len(study.proposals))

    def do(study: Study, warn: Warn) -> Sequence[Event]:
        brain = brains(PROPOSER)
        return [advise(study, brain, folder=folder, warn=warn)] if brain is not None else []

    return Work(IDEAS, due, do, (PROPOSER,))
