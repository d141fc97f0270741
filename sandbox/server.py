"""The host's side of the fork server: starts it when it is first needed and again if it died."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tunewright.domain.errors import SandboxError, boundary
from tunewright.sandbox.order import Order
from tunewright.sandbox.wire import SocketWire

OWN_TO_EACH = ("HOME", "TMPDIR")
"""What differs from job to job and is set after the fork; all else of a job's environment is its server's."""


class ForkServer:
    """A fork server process for jobs of one environment. Not thread-safe.

    Args:
        environment: of the jobs; read by libraries when they are imported, so it cannot change afterwards.
        preload: modules to import. None: each job brings an interpreter of its own.
    """

    def __init__(self, environment: Mapping[str, str], preload: Sequence[str]) -> None:
        self._environment = {name: value for name, value in environment.items() if name not in OWN_TO_EACH}
        self._preload = tuple(preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._scratch = Path(tempfile.mkdtemp(prefix="tunewright-"))

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def dies_within(self, seconds: float) -> bool:
        """Whether it is dead, or will be in a moment: a killed process closes its sockets before it is gone."""
        try:
            return self._process is None or self._process.wait(seconds) is not None
        except subprocess.TimeoutExpired:
            return False

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Whether a job with this environment can be forked from it."""
        return self._environment == {name: value for name, value in environment.items() if name not in OWN_TO_EACH}

    def warm_up(self) -> None:
        """Starts importing before the first order comes."""
        if not self.alive:
            self._start()

    def submit(self, order: Order) -> SocketWire:
        """Hands the order over; the keeper's first word says whether it started.

        Raises:
            SandboxError: no server can be started.
        """
        if not self.alive:
            self._start()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._send(order, theirs)
            except OSError:
                self._start()  # it died between the look and the word
                with boundary(SandboxError, "reach the fork server"):
                    self._send(order, theirs)
        return SocketWire(ours)

    def last_words(self) -> str:
        """The end of what it printed."""
        with suppress(OSError):
            return (self._scratch / "server.log").read_text(errors="replace")[-2000:]
        return ""

    def close(self) -> None:
        """Ends it. Keepers of running jobs go on until their own host hangs up."""
        self._hang_up()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _hang_up(self) -> None:
        if self._channel:
            self._channel.close()
        if self._process:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:  # still importing: it does not listen yet
                self._process.kill()
                self._process.wait()
        self._process = self._channel = None

    def _start(self) -> None:
        self._hang_up()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._scratch.mkdir(exist_ok=True)
        scratch = str(self._scratch)
        arguments = [str(theirs.fileno()), scratch, *self._preload]
        command = [sys.executable, "-P", "-m", "tunewright.sandbox.forkserver", *arguments]
        home = dict.fromkeys(OWN_TO_EACH, scratch)
        with (
            theirs,
            (self._scratch / "server.log").open("wb") as log,
            boundary(SandboxError, "start the fork server"),
        ):
            self._process = subprocess.Popen(
                command,
                env={**self._environment, **home},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._scratch,
                start_new_session=True,
            )
        self._channel = ours

    def _send(self, order: Order, theirs: socket.socket) -> None:
        if self._channel is None:
            raise OSError("no channel")
        socket.send_fds(self._channel, [order.to_json().encode()], [theirs.fileno()])
