"""Reads outcomes and records what they teach; what is learned is then kept for later studies as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunewright.agents.notebook import Notebook
from tunewright.agents.routing import unreflected
from tunewright.agents.state import Node, State
from tunewright.domain.event import Event
from tunewright.domain.study import Study


def make_reflection(
    notebook: Notebook,
    meet: Callable[[Study, Sequence[str]], list[Event]],
    keep: Callable[[Study], object] = lambda study: None,
) -> Node:
    """
    Args:
        meet: the panel; gives what is to be recorded of these trials, ``Reflected`` last.
        keep: tells the memory of all studies.
    """

    def reflection(state: State) -> State:
        study = notebook.study
        for one in meet(study, unreflected(study)):
            notebook.record(one)
        keep(notebook.study)
        return state

    return reflection
