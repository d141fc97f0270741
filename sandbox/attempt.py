"""One job on a cluster over all its attempts: a ``Wire`` to whichever node has it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tunewright.domain.errors import SandboxError, TunewrightError
from tunewright.sandbox.arrival import Arrival
from tunewright.sandbox.freight import Ended, Placed, Started
from tunewright.sandbox.post import OVER

PATIENCE_S = 10.0
"""How long a start waits to hear that the job runs. A cluster that is full takes longer: the job is in its queue."""
CHECK_S = 2.0
"""Between two looks at whether any node could hold a job that waits for one."""


@dataclass(frozen=True)
class Attempt:
    """A task that runs a job."""

    token: str
    stream: Any
    """What it says, as Ray's generator of references."""
    held: Any
    """What must stay in the object store meanwhile."""


@dataclass(frozen=True)
class Line:
    """What a job asks of its sandbox."""

    submit: Callable[[Collection[str]], Attempt]
    """Begins an attempt on any node but those."""
    hopeless: Callable[[Collection[str]], str]
    """Why no node but those could hold the job; nothing if one could."""
    say: Callable[[str, str], None]
    placed: Callable[[Placed], None]


class AttemptWire:
    """Implements the ``Wire`` contract. A lost node is answered by another attempt. Used by one thread, but for
    ``send``.

    Args:
        line: to the sandbox.
        arrival: takes in what the job writes.
        retries: attempts after the first.
        wall_s: what all attempts may run together; each by itself is held to it by its keeper.
    """

    def __init__(self, line: Line, arrival: Arrival, retries: int, wall_s: float) -> None:
        self._line = line
        self._arrival = arrival
        self._retries = retries
        self._wall_s = wall_s
        self._attempt: Attempt | None = line.submit(())
        self._placed: Placed | None = None
        self._node: str | None = None
        self._avoided: set[str] = set()
        self._first_start: float | None = None
        self._asked = ""
        self._checked = time.monotonic()
        self._lost = 0

    def await_start(self) -> None:
        """Returns when the job runs or has ended, or is in a queue and will run when there is room.

        Raises:
            SandboxError: the node could not start it.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self._first_start is None and self._attempt and time.monotonic() < deadline:
            self._step(0.1, strict=True)

    def send(self, word: str) -> None:
        attempt = self._attempt
        if attempt is None:
            return
        self._asked = word if self._asked != "kill" else "kill"
        self._line.say(attempt.token, word)
        if self._placed is None:
            self._cancel(attempt)

    def reports(self, timeout_s: float) -> list[dict[str, Any]] | None:
        if self._attempt is None:
            return None
        ended = self._step(timeout_s, strict=False)
        return [ended] if ended else []

    def close(self) -> None:
        """A task that still runs is ended, and its job with it."""
        self._drop()
        self._arrival.close()

    def _step(self, timeout_s: float, strict: bool) -> dict[str, Any] | None:
        """Takes what has come; waits for the first of it. Gives the exit, once there is one."""
        import ray

        self._mind_the_clock()
        assert self._attempt is not None
        stream, waited = self._attempt.stream, max(0.0, timeout_s)
        while ray.wait([stream], timeout=waited)[0]:
            ended = self._next(stream, strict)
            if ended or self._attempt is None or self._attempt.stream is not stream:
                return ended
            waited = 0.0
        return self._look() if self._placed is None else None

    def _next(self, stream: Any, strict: bool) -> dict[str, Any] | None:
        import ray
        from ray import exceptions

        try:
            dispatch = ray.get(next(stream))
        except StopIteration:
            return self._after_loss("the task ended without a word")
        except exceptions.TaskCancelledError:
            return self._end(f"{self._asked or 'cancelled'} before a node had room for the job")
        except exceptions.OutOfMemoryError:
            return self._end("killed by Ray: the node is out of memory", out_of_memory=True)
        except (exceptions.NodeDiedError, exceptions.WorkerCrashedError, exceptions.ObjectLostError) as error:
            return self._after_loss(_first_line(error))
        except exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            self._drop()
            if strict:
                raise _refused(cause or error) from None
            return _exit(_first_line(cause or error))
        match dispatch:
            case Placed():
                self._placed, self._node = dispatch, dispatch.node
                self._line.placed(dispatch)
            case Started():
                self._first_start = self._first_start or time.monotonic()
            case Ended(ended):
                self._drop(cancel=False)
                return {"kind": "exit", **ended}
            case _:
                self._arrival.take(dispatch)
        return None

    def _after_loss(self, why: str) -> dict[str, Any] | None:
        """Another attempt, if there is one to be had."""
        self._drop()
        where = f"node {self._node[:12]}" if self._node else "the node"
        if self._asked:
            return _exit(f"{where} was lost after the job had been asked to {self._asked}: {why}")
        if self._lost >= self._retries:
            again = f", and so were {self._lost} before it" if self._lost else ""
            return _exit(f"{where} was lost{again}: {why}")
        # A node's end is noticed late, and a task that is sent to it meanwhile hangs. Where no other can hold the job,
        # it waits for whether the node is still there: then it has lost no more than a worker.
        self._avoided |= {self._node} if self._node else set()
        avoided = () if self._line.hopeless(self._avoided) else self._avoided
        if hopeless := self._line.hopeless(avoided):
            return _exit(f"{where} was lost, and no other can go on with the job: {hopeless}")
        self._lost += 1
        self._arrival.again(f"{where} was lost; the job goes on from its last checkpoint on another")
        self._placed = None
        self._attempt = self._line.submit(avoided)
        if self._asked:  # by another thread, meanwhile
            self.send(self._asked)
        return None

    def _look(self) -> dict[str, Any] | None:
        """For a job in the queue: the nodes that could hold it may have gone."""
        now = time.monotonic()
        if now - self._checked < CHECK_S:
            return None
        self._checked = now
        hopeless = self._line.hopeless(())
        return self._end(f"no node is left that could hold the job: {hopeless}") if hopeless else None

    def _mind_the_clock(self) -> None:
        """Attempts after the first know nothing of the time that the ones before them took."""
        over = self._first_start is not None and time.monotonic() - self._first_start > self._wall_s
        if over and self._lost and not self._asked:
            self.send("stop")

    def _end(self, message: str, out_of_memory: bool = False) -> dict[str, Any]:
        self._drop()
        return _exit(message, out_of_memory)

    def _drop(self, cancel: bool = True) -> None:
        if self._attempt is not None:
            attempt, self._attempt = self._attempt, None
            if cancel:
                self._cancel(attempt)
            self._line.say(attempt.token, OVER)

    def _cancel(self, attempt: Attempt) -> None:
        import ray

        # By force: the worker ends, the keeper hears that, and the job is killed.
        ray.cancel(attempt.stream, force=True)


def _exit(message: str, out_of_memory: bool = False) -> dict[str, Any]:
    return {"kind": "exit", "code": None, "signal": None, "out_of_memory": out_of_memory, "message": message[:2000]}


def _refused(error: BaseException) -> TunewrightError:
    if isinstance(error, TunewrightError):
        return error
    return SandboxError(
        f"the job could not be started on a node: {_first_line(error)}",
        "every node needs the host's Python with tunewright in it",
    )


def _first_line(error: BaseException) -> str:
    if isinstance(error, TunewrightError):
        return error.message
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
