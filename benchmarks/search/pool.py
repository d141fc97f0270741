"""Does jobs in processes of their own, forked from this one, so many at a time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

Job = TypeVar("Job")


def forked(work: Callable[[Job], Any], jobs: Iterable[Job], workers: int) -> Iterator[tuple[Job, Any]]:
    """Each job with what ``work`` gave for it, in the order in which they end; None if its process died.

    This process must have started no threads.
    """
    context, queue = multiprocessing.get_context("fork"), iter(jobs)
    running: dict[Connection, tuple[Any, Job]] = {}

    def child(job: Job, end: Connection) -> None:
        end.send(work(job))

    while True:
        for job in queue:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=child, args=(job, theirs))
            process.start()
            theirs.close()
            running[ours] = (process, job)
            if len(running) == workers:
                break
        if not running:
            return
        for end in wait(list(running)):
            assert isinstance(end, Connection)
            process, job = running.pop(end)
            try:
                given = end.recv()
            except EOFError:
                given = None
            process.join()
            end.close()
            yield job, given
