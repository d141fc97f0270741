"""Language models work beside running trials: one piece of work at a time, begun when nothing can be launched, done in
a thread of its own on the study as it stood then, and recorded by the thread that watches the trials.

A slot that is free never waits for it. Numbers come first: a trial is judged by code, its slot is filled from the ideas
that wait or by the sampler, and only then the models are asked what to make of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tunewright.agents.beside.relay import Relay
from tunewright.agents.beside.work import Work
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.pausing import pause
from tunewright.agents.routing import unjudged
from tunewright.domain import event as ev
from tunewright.domain.errors import PauseError
from tunewright.domain.snapshot import snapshot
from tunewright.domain.study import Study

_TURN_S = 0.5
"""How long the end of a work is waited for at a time."""
_GRACE_S = 1.0
"""How long a call is waited for that is under way when a person stops the study."""


def at_once(work: Work) -> bool:
    """Every work is done where it is begun: nobody is waited for."""
    return True


def now(work: Work, key: str) -> int:
    """What is done is taken in at once."""
    return 0


class Beside:
    """The work of one session. Used by the thread that writes the journal.

    Args:
        relay: between that thread and those beside it.
        works: looked at in turn.
        instant: whether a work waits for nobody, so that it needs no thread.
        lands: work and what was due -> ``Stock.turns`` before which it is not taken in; for a study that is told again.
    """

    def __init__(
        self,
        notebook: Notebook,
        stop: Stop,
        relay: Relay,
        works: Sequence[Work],
        *,
        instant: Callable[[Work], bool] = at_once,
        lands: Callable[[Work, str], int] = now,
    ) -> None:
        self._notebook, self._stop, self._relay, self._works = notebook, stop, relay, list(works)
        self._instant, self._lands = instant, lands
        self._begun: _Begun | None = None
        self._idle_at = -1
        """``Stock.turns`` at which nothing was due."""

    def turn(self) -> bool:
        """Records what has been done, and begins what is due. Whether anything is under way.

        Raises:
            TunewrightError: a work has failed as a node would have.
        """
        self._relay.serve()
        while self._landed() and self._begins():
            pass
        return self._begun is not None

    def settle(self) -> None:
        """Returns when nothing is due any more, or the study is to stop."""
        self._idle_at = -1
        self._wait(self._begins)

    def finish(self) -> bool:
        """Returns when what is under way has been recorded, or the study is to stop. Whether anything was."""
        busy = self._begun is not None
        self._wait(lambda: False)
        return busy

    def close(self) -> None:
        """Lets go of what is under way. An answer that comes at once is still counted; else all that was held is."""
        until = time.monotonic() + _GRACE_S
        while self._begun is not None and not self._begun.done.is_set() and time.monotonic() < until:
            self._relay.serve(_TURN_S / 5)
        if self._begun is not None and self._begun.done.is_set() and self._begun.error is None:
            self._landed(early=True)
        self._begun = None
        self._relay.close()

    def _wait(self, more: Callable[[], bool]) -> None:
        told = False
        while not self._stop.requested:
            if self._landed(early=True):
                if not more():
                    return
            else:
                if not told:
                    told = True
                    self._notebook.say(f"waiting for a language model: {self._doing}")
                self._relay.serve(_TURN_S)

    @property
    def _doing(self) -> str:
        return self._begun.work.name if self._begun is not None else ""

    def _begins(self) -> bool:
        """Begins the next work that is due, if any."""
        study = self._notebook.study
        if self._stop.requested or self._idle_at == study.stock.turns or unjudged(study):
            return False
        for work in list(self._works):
            key = work.due(study)
            if key is not None:
                self._works = [*(one for one in self._works if one is not work), work]
                self._begun = _Begun(work, self._lands(work, key), snapshot(study))
                if self._instant(work):
                    self._begun.do()
                else:
                    self._relay.thread(self._beside(self._begun))
                return True
        self._idle_at = study.stock.turns
        return False

    def _beside(self, begun: _Begun) -> Callable[[], None]:
        def run() -> None:
            begun.do()
            begun.wake(self._relay)

        return run

    def _landed(self, *, early: bool = False) -> bool:
        """Takes in what was done; whether nothing is under way now."""
        begun, study = self._begun, self._notebook.study
        if begun is None:
            return True
        if not begun.done.is_set() or (not early and study.stock.turns < begun.lands):
            return False
        self._begun, self._idle_at = None, -1
        if begun.error is not None:
            self._failed(begun.work, begun.error)
            return True
        for one in begun.events:
            self._notebook.record(one)
        begun.work.after(study)
        return True

    def _failed(self, work: Work, error: Exception) -> None:
        """A model that cannot be reached pauses the study, unless it was asked for a search that is over."""
        if not isinstance(error, PauseError):
            raise error
        if self._stop.requested:
            return
        if work.due(self._notebook.study) is None:
            self._notebook.record(ev.Warned(message=f"nothing came of the {work.name}: {error.message}"))
            return
        pause(error, self._notebook, self._stop)


class _Begun:
    """A work that was begun, and what came of it."""

    def __init__(self, work: Work, lands: int, study: Study) -> None:
        self.work, self.lands = work, lands
        self.events: list[ev.Event] = []
        self.error: Exception | None = None
        self.done = threading.Event()
        self._study = study

    def do(self) -> None:
        warned: list[ev.Event] = []
        try:
            found = self.work.do(self._study, lambda message: warned.append(ev.Warned(message=message)))
            self.events = [*warned, *found]
        except Exception as error:
            self.error = error
        finally:
            self.done.set()

    def wake(self, relay: Relay) -> None:
        """Whoever waits for the relay looks up."""
        with suppress(PauseError):
            relay(lambda: None)
