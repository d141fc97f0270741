"""A node that cannot go on pauses the study: what runs writes a checkpoint, nothing is launched, a resume goes on."""

from __future__ import annotations

from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.state import Node, State
from tunewright.domain import event as ev
from tunewright.domain.errors import AccessError, PauseError


def pausing(node: Node, notebook: Notebook, stop: Stop) -> Node:
    """``node``, whose ``PauseError`` asks for a stop in good order. It has to raise it before it records anything."""

    def guarded(state: State) -> State:
        try:
            return node(state)
        except PauseError as error:
            pause(error, notebook, stop)
            return state

    return guarded


def pause(error: PauseError, notebook: Notebook, stop: Stop) -> None:
    """Asks for a stop in good order, and says why, unless one was asked for before."""
    if stop.requested:
        return
    said = [error.message, error.hint, _ways_on(notebook.study.name)]
    notebook.record(ev.Warned(message="; ".join(filter(None, said))))
    refused = error.__cause__
    stop.request(error.message, refused if isinstance(refused, AccessError) else None)


def refusal(error: AccessError, study: str) -> AccessError:
    """The error that a door shows when a study was paused by it."""
    return AccessError(error.message, f"{error.hint}; then {_ways_on(study)}")


def _ways_on(study: str) -> str:
    return f"tunewright resume {study} goes on, and with --llm none by rules"
