"""Reads outcomes and records what they teach; what is learned is then kept for later studies as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunewright.agents.beside.left import panel_asks
from tunewright.agents.notebook import Notebook
from tunewright.agents.routing import unreflected
from tunewright.agents.state import Node, State
from tunewright.domain.event import Event
from tunewright.domain.study import Study


def make_reflection(
    notebook: Notebook,
    meet: Callable[[Study, Sequence[str]], list[Event]],
    keep: Callable[[Study], object] = lambda study: None,
    settle: Callable[[], object] = lambda: None,
) -> Node:
    """
    Args:
        meet: the panel; gives what is to be recorded of these trials, ``Reflected`` last.
        keep: tells the memory of all studies.
        settle: returns when language models have said all that they are to say of the trials. Where one of them is on
            the panel it meets beside the trials, and the node is due only when none runs or can be begun any more.
    """

    def reflection(state: State) -> State:
        study = notebook.study
        trials = unreflected(study)
        if not trials or panel_asks(study):
            settle()
            return state
        for one in meet(study, trials):
            notebook.record(one)
        keep(notebook.study)
        return state

    return reflection
