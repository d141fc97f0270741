"""The language models of one session: which one answers in which role, what each was found to be able to do, and what
becomes of the study when one cannot be reached: it pauses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from tunewright.agents.beside.relay import Relay
from tunewright.agents.brains import Limits, open_brain
from tunewright.agents.brains.litellm import LitellmBrain
from tunewright.agents.brains.recording import Recording
from tunewright.agents.notebook import Notebook, Stop
from tunewright.domain.errors import PauseError, ServerError
from tunewright.domain.protocols import Brain
from tunewright.domain.tool import Tool

_T = TypeVar("_T", bound=BaseModel)


class Brains:
    """Every language model that a study's options name, one for each name: roles with the same model share it. They are
    asked by one thread at a time: before the first trial by that which writes the journal, later by the one beside it.

    Args:
        folder: the study's; every call is recorded there.
        studies: where ``replay:NAME`` is looked for.
        relay: to the thread that writes the journal, from the one in which models are asked beside the trials.

    Raises:
        UsageError: a script or a recording cannot be read.
    """

    def __init__(
        self, notebook: Notebook, folder: Path, studies: Path, limits: Limits, relay: Relay, stop: Stop
    ) -> None:
        self._notebook = notebook
        keep = Recording(folder).keep
        options = notebook.study.options
        self._opened: dict[str, _SessionBrain] = {}
        for spec in dict.fromkeys(filter(None, map(options.model_of, ("", *options.llms)))):
            brain = open_brain(
                spec,
                record=notebook.record,
                study=lambda: notebook.study,
                intend=notebook.record,
                keep=keep,
                studies=studies,
                limits=limits,
                where=relay,
            )
            self._opened[spec] = _SessionBrain(brain, notebook, relay, stop)

    def of(self, role: str) -> Brain | None:
        """Who answers in ``role``; None for the rules.

        What it raises is as ``Brain`` has it, but for a server that cannot be reached: that is a ``PauseError``.
        """
        spec = self._notebook.study.options.model_of(role)
        return None if spec is None else self._opened[spec]

    def instant(self, roles: Iterable[str]) -> bool:
        """Whether nobody has to be waited for in any of the roles: rules, scripts and recordings answer at once."""
        specs = map(self._notebook.study.options.model_of, roles)
        return all(spec is None or self._opened[spec].instant for spec in specs)


class _SessionBrain:
    """A brain that is probed before its first question, and whose silence pauses the study."""

    def __init__(self, brain: Brain, notebook: Notebook, relay: Relay, stop: Stop) -> None:
        self.name = brain.name
        self._brain, self._notebook, self._relay, self._stop = brain, notebook, relay, stop
        self.instant = self._probed = not isinstance(brain, LitellmBrain)

    def structured(self, role: str, prompt: str, schema: type[_T]) -> _T:
        return self._asked(lambda: self._brain.structured(role, prompt, schema))

    def converse(self, role: str, prompt: str, schema: type[_T], tools: Sequence[Tool], *, rounds: int = 6) -> _T:
        return self._asked(lambda: self._brain.converse(role, prompt, schema, tools, rounds=rounds))

    def _asked(self, ask: Callable[[], _T]) -> _T:
        """What waits for nobody is asked where the journal is written."""
        if self._relay.beside and self._stop.requested:
            raise PauseError(self._stop.reason)
        with self._reached():
            return self._relay(ask) if self.instant else ask()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            self._probe()
            yield
        except ServerError as error:
            raise PauseError(error.message, error.hint) from error

    def _probe(self) -> None:
        from tunewright.agents.brains.probe import probe

        if not self._probed and isinstance(self._brain, LitellmBrain):
            self._relay(lambda: self._notebook.say(f"asking {self.name} what it can do"))
            found = probe(self._brain)
            self._relay(lambda: self._notebook.record(found))
            self._probed = True


def patient(stop_requested: Callable[[], bool]) -> Callable[[float], None]:
    """A sleep that ends when a person asks to stop.

    It raises ``PauseError`` then.
    """
    bell = threading.Event()  # never rung: it sleeps without the clock of the process being looked at

    def sleep(seconds: float) -> None:
        left = seconds
        while left > 0:
            if stop_requested():
                raise PauseError("stopped while it waited for a language model")
            bell.wait(min(_SLICE_S, left))
            left -= _SLICE_S

    return sleep


_SLICE_S = 0.2
