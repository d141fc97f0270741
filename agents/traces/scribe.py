"""Writes a study's traces while it runs, in a thread of its own: whoever keeps them may be slow or away, and no trial
waits for it. What is missing when the study ends is written then, and what was missing then with the next session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tunewright.agents.brains.recording import Call, follow_recording
from tunewright.agents.traces.about import LED_TO, about
from tunewright.agents.traces.answering import answering
from tunewright.agents.traces.pieces import pieces
from tunewright.agents.traces.steps import Steps
from tunewright.domain import event as ev
from tunewright.domain.errors import TrackingError
from tunewright.domain.study import Study
from tunewright.domain.trace import Trace
from tunewright.tracking.entry import STUDY
from tunewright.tracking.journal import events
from tunewright.tracking.traces import TraceLog

_EVERY_S = 15.0
_AWAY_S = 60.0
"""How long nothing is sent to a store that did not answer."""
_PATIENCE_S = 20.0
"""How long the end of a session waits for what is being sent."""


class Telling:
    """A study's traces, as far as journal and recording have come.

    Args:
        folder: the study's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps = Steps()
        self._calls: list[tuple[str, Call]] = []
        self._asked: list[ev.Event] = []
        self._offsets = (0, 0)
        self._told: dict[str, tuple[int, tuple[str, ...]]] = {}
        """Piece -> calls and jobs that its trace has told of."""

    def changed(self, *, final: bool = False) -> list[Trace]:
        """The traces that are new, or have come to say more, since this was last asked.

        Args:
            final: nothing that was begun goes on.

        Raises:
            TrackingError: the journal cannot be read.
        """
        new, journal = events(self._folder, self._offsets[0])
        calls, recording = follow_recording(self._folder, self._offsets[1])
        self._offsets = (journal, recording)
        self._steps.take(new)
        self._asked += [one for one in new if isinstance(one, (ev.ModelAsked, *LED_TO))]
        self._calls += calls
        if not (new or calls or final):
            return []
        return [*self._steps.changed(), *self._answers(final=final)]

    def _answers(self, *, final: bool) -> list[Trace]:
        """Of the pieces that are over: whether one that goes on has failed cannot be said yet, nor be taken back."""
        found, known = [], pieces(self._calls, self._asked)
        newest = {piece.role: piece.id for piece in known}
        for piece in known:
            if not (final or piece.over or newest[piece.role] != piece.id):
                continue
            now = (len(piece.calls), about(piece, self._asked))
            if self._told.get(piece.id) != now:
                self._told[piece.id] = now
                found.append(answering(piece, now[1]))
        return found


class Scribe:
    """Writes the traces of one session.

    Args:
        study: the study as it stands.
        warn: is told in one line what is amiss, by the thread that closes the scribe.
    """

    def __init__(
        self,
        folder: Path,
        study: Callable[[], Study],
        log: TraceLog,
        warn: Callable[[str], None],
        every_s: float = _EVERY_S,
    ) -> None:
        self._study, self._log, self._warn, self._every_s = study, log, warn, every_s
        self._telling = Telling(folder)
        self._due: dict[str, Trace] = {}
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self._error = ""

    def begin(self) -> None:
        """Starts to write beside the study."""
        self._thread.start()

    def write(self, *, final: bool = False) -> None:
        """Writes what is missing, at once.

        Args:
            final: nothing that was begun goes on.

        Raises:
            TrackingError: whoever keeps traces does not answer; nothing is lost.
        """
        with self._turn:
            self._due |= {trace.id: trace for trace in self._telling.changed(final=final)}
            if STUDY in self._study().runs:
                self._log.log(self._study(), list(self._due.values()))
                self._due.clear()

    def finish(self) -> None:
        """Writes what is missing at the study's end. Whoever keeps traces may be away, or too old to keep any: a study
        is as good without them, and ``close`` tries once more."""
        self._written(final=True)

    def close(self) -> None:
        """Writes what is missing, as far as that is possible soon; what is not is written by the next session."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE_S)
        if self._error:
            self._warn(self._error)

    def _work(self) -> None:
        again_at = 0.0
        while not self._closed.wait(self._every_s):
            if time.monotonic() >= again_at and not self._written():
                again_at = time.monotonic() + _AWAY_S
        self._written(final=True)

    def _written(self, *, final: bool = False) -> bool:
        try:
            self.write(final=final)
        except TrackingError as error:
            self._error = str(error)
        except Exception as error:  # a view that cannot be made is no reason to lose a study
            self._error = f"no traces could be made: {type(error).__name__}: {str(error)[:200]}"
        else:
            self._error = ""
        return not self._error
