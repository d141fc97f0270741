"""Stands beside one job from its first moment to its last: starts it, enforces its limits, tells the host.

One process, one thread, one loop. It is forked from the fork server for a job on this machine, and is process 1
of a container, where it is started with ``python -m tunewright.sandbox.keeper ORDER``. It listens to the host on one
descriptor and reports on another; when the first one closes, the host is dead, and so is the job. It adopts the
job's orphans, so nothing a job starts outlives it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from tunewright.sandbox import watch
from tunewright.sandbox.child import become
from tunewright.sandbox.confinement import adopt_orphans
from tunewright.sandbox.log import CappedLog
from tunewright.sandbox.order import Order
from tunewright.sandbox.record import Record

GLANCE_S, LOOK_S = 0.1, 1.0
"""How often the leader's memory is read, and how often the whole tree and the disk are."""
DEATH_S = 10.0
"""How long killed processes may take to go; one in an uninterruptible wait may never."""
MESSAGE_CHARS = 2000
GIB = 2**30


@dataclass
class Keeper:
    """Args:
    order: what to run and within which limits.
    control: descriptor of the host's words, one a line: ``stop`` or ``kill``. Its end is the host's end.
    report: descriptor for one JSON object a line: ``started``, ``refused`` or ``exit``.
    """

    order: Order
    control: int
    report: int
    leader: int = 0
    status: int | None = None
    reason: str = ""
    out_of_memory: bool = False
    deadline: float | None = None
    """When an asked job is killed."""
    _listening: bool = True
    _oom_kills: int = 0
    _wake: tuple[int, int] = field(default=(-1, -1))

    def run(self) -> int:
        """Runs the job to its end. Returns its exit code, or 128 and the signal that ended it."""
        adopt_orphans()
        self._hear_signals()
        self._oom_kills = watch.oom_kills()
        self.log = CappedLog(self.order.out / "log.txt", self.order.log_bytes)
        refusal = self._fork()
        if refusal:
            self._reap(block=True)
            self._say(kind="refused", message=refusal)
            return 1
        record = Record.of(self.order.folder) if self.order.recorded else None
        if record:
            record.running()
        self._say(kind="started", pid=self.leader)
        self._attend()
        self._end_descendants()
        ended = self._ended()
        shutil.rmtree(self.order.scratch, ignore_errors=True)
        if record:
            record.ended(ended)
        self._say(kind="exit", **ended)
        return ended["code"] if ended["signal"] is None else 128 + int(ended["signal"])

    def _fork(self) -> str:
        """Starts the job. Returns why it could not be, or nothing."""
        trouble, complaint = os.pipe2(os.O_CLOEXEC)
        keeper = os.getpid()
        self.leader = os.fork()
        if self.leader == 0:
            ours = {trouble, self.control, self.report, *self._wake, self.log.reader}
            become(self.order, keeper, self.log.writer, complaint, ours)
        os.close(complaint)
        os.close(self.log.writer)
        with os.fdopen(trouble, "rb") as pipe:
            return pipe.read().decode(errors="replace")

    def _attend(self) -> None:
        """The loop: until the job's leader has ended."""
        begun = time.monotonic()
        look = begun + LOOK_S
        while self.status is None:
            self._listen(GLANCE_S)
            self._reap()
            now = time.monotonic()
            if self.deadline is None and now - begun > self.order.wall_s:
                self._stop(f"asked to stop at its limit of {self.order.wall_s:g} s")
            if self.deadline is not None and now > self.deadline:
                self._kill(f"{self.reason}, killed {self.order.grace_s:g} s later")
            if self.order.memory_bytes is not None:
                self._check_memory(watch.resident(self.leader))
            if now > look:
                look = now + LOOK_S
                self._check_tree()

    def _listen(self, timeout_s: float) -> None:
        """Waits for output, a word of the host or the end of a child, and sees to it."""
        sources = [self.log.reader, self._wake[0], *([self.control] if self._listening else [])]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self.log.reader in ready and not self.log.pump():
            # The job closed its output and lives on: an ended pipe is always ready.
            time.sleep(GLANCE_S)
        if self._wake[0] in ready and signal.SIGTERM in os.read(self._wake[0], 4096):
            self._stop("asked to stop")
        if self._listening and self.control in ready:
            self._obey(self._word())

    def _word(self) -> bytes:
        try:
            return os.read(self.control, 4096)
        except OSError:
            return b""

    def _obey(self, words: bytes) -> None:
        if not words:
            self._listening = False
            self._kill("the process that ran the study ended")
        if b"kill" in words:
            self._kill("killed by the host")
        elif b"stop" in words:
            self._stop("asked to stop")

    def _stop(self, reason: str) -> None:
        if self.deadline is None and self.status is None:
            self.reason = reason
            self.deadline = time.monotonic() + self.order.grace_s
            with suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGTERM)

    def _kill(self, reason: str) -> None:
        if self.status is None:
            self.reason = reason
            with suppress(ProcessLookupError):
                os.killpg(self.leader, signal.SIGKILL)
            self._reap(block=True)

    def _check_memory(self, used: int) -> None:
        limit = self.order.memory_bytes
        if limit is not None and used > limit and self.status is None:
            self._kill(f"killed for memory: {used / GIB:.2f} of {limit / GIB:.2f} GiB")
            self.out_of_memory = True

    def _check_tree(self) -> None:
        if self.status is not None:
            return
        tree = watch.descendants(os.getpid())
        self._check_memory(watch.memory(self.leader, tree))
        if (tasks := watch.tasks(tree)) > self.order.pids:
            self._kill(f"killed: {tasks} processes and threads, {self.order.pids} allowed")
        if (disk := watch.disk(self.order.out)) > self.order.disk_bytes:
            self._kill(f"killed: out/ holds {disk / GIB:.2f} of {self.order.disk_bytes / GIB:.2f} GiB")

    def _reap(self, block: bool = False) -> None:
        """Collects ended children, the job's orphans among them; ``block`` waits for the leader."""
        while True:
            try:
                pid, status = os.waitpid(self.leader, 0) if block else os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == self.leader:
                self.status = status
            if pid == 0 or block:
                return

    def _end_descendants(self) -> None:
        """Kills until none is left: a child may fork while its siblings die."""
        patience = time.monotonic() + DEATH_S
        while (tree := watch.descendants(os.getpid())) and time.monotonic() < patience:
            for process in tree:
                with suppress(psutil.Error):
                    process.kill()
            self._reap()
            time.sleep(0.005)
        self.log.pump()
        self.log.close()

    def _ended(self) -> dict[str, Any]:
        """The exit as it is reported: the fields of ``Exit``."""
        assert self.status is not None
        code = os.waitstatus_to_exitcode(self.status)
        killed = -code if code < 0 else None
        if killed == signal.SIGKILL and not self.reason and watch.oom_kills() > self._oom_kills:
            self.out_of_memory, self.reason = True, "killed by the kernel: the machine is out of memory"
        said = "" if code in (0, 10) else self.log.tail()
        message = "\n".join(part for part in (self.reason, said[-MESSAGE_CHARS + len(self.reason) + 1 :]) if part)
        return {
            "code": None if killed else code,
            "signal": killed,
            "out_of_memory": self.out_of_memory,
            "message": message,
        }

    def _hear_signals(self) -> None:
        """A signal wakes the loop instead of interrupting it."""
        reader, writer = self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        assert reader >= 0

    def _say(self, **words: Any) -> None:
        with suppress(OSError):
            os.write(self.report, json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(Keeper(Order.from_json(sys.argv[1]), control=0, report=1).run())
