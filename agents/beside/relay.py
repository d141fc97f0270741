"""How a thread beside the one that writes the journal gets something done there: it hands it over, and waits.

So one thread alone looks at the study, asks the ledger and writes the journal, and everything is as durable as if that
thread had made the call itself: what is held for a call is in the journal before the call begins.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from tunewright.domain.errors import PauseError

T = TypeVar("T")
_LINGER_S = 0.002
"""What comes of one errand is mostly followed by the next at once: before a call several things are asked in a row."""


class Here(Protocol):
    """Does something where the study may be looked at and its journal written."""

    def __call__(self, do: Callable[[], T]) -> T: ...


def here(do: Callable[[], T]) -> T:
    """Does it at once: for whoever has no other thread."""
    return do()


class Relay:
    """Between one thread that serves and those that are begun with ``thread``."""

    def __init__(self) -> None:
        self._due: queue.SimpleQueue[_Errand] = queue.SimpleQueue()
        self._beside = threading.local()
        self._turn = threading.Lock()
        self._closed = False

    @property
    def beside(self) -> bool:
        """Whether who asks is a thread beside."""
        return getattr(self._beside, "true", False)

    def thread(self, work: Callable[[], object]) -> threading.Thread:
        """A thread for ``work``, begun; what it hands over is done by whoever serves. It holds up no process's end."""

        def run() -> None:
            self._beside.true = True
            work()

        made = threading.Thread(target=run, name="beside", daemon=True)
        made.start()
        return made

    def __call__(self, do: Callable[[], T]) -> T:
        """What ``do`` returns, or raises: done at once, but from a thread beside by the one that serves.

        Raises:
            PauseError: nobody serves any more.
        """
        if not self.beside:
            return do()
        errand = _Errand(do)
        with self._turn:
            if self._closed:
                raise _over()
            self._due.put(errand)
        errand.done.wait()
        if errand.error is not None:
            raise errand.error
        result: T = errand.result
        return result

    def serve(self, timeout_s: float = 0.0) -> None:
        """Does what was handed over, after waiting at most ``timeout_s`` for something to be."""
        wait_s = timeout_s
        while True:
            try:
                errand = self._due.get(block=wait_s > 0, timeout=wait_s)
            except queue.Empty:
                return
            errand.run()
            wait_s = _LINGER_S

    def close(self) -> None:
        """What is handed over from here on is not done, nor what waits."""
        with self._turn:
            self._closed = True
        while not self._due.empty():
            self._due.get().refuse()


@dataclass
class _Errand:
    do: Callable[[], Any]
    result: Any = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """The one who asked is given the error; what ends this very thread ends it as well."""
        try:
            self.result = self.do()
        except Exception as error:
            self.error = error
        except BaseException:
            self.error = _over()
            raise
        finally:
            self.done.set()

    def refuse(self) -> None:
        self.error = _over()
        self.done.set()


def _over() -> PauseError:
    return PauseError("the session has ended")
