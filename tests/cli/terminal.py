"""A program at a pseudo-terminal, as a person meets it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

MAIN = "from tunewright.cli import main; main()"
"""The program behind the console script."""
_HEEDING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that."""


class Terminal:
    """Runs Python's ``program`` with a terminal as its stdin and stderr.

    Its stdout is apart, as when somebody reads the result by program.
    """

    def __init__(self, program: str, *arguments: str) -> None:
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HEEDING + program, *arguments],
            stdin=inner, stderr=inner, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"TERM": "xterm"}, start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        self.seen = ""

    def expect(self, text: str, timeout_s: float = 30) -> None:
        """Waits until ``text`` is on the screen; what is before it is forgotten."""
        end = time.monotonic() + timeout_s
        while text not in self.seen:
            assert self._read(max(0.0, end - time.monotonic())), f"never saw {text!r} in {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def end(self, timeout_s: float = 120) -> tuple[str, int]:
        """Waits for the end; what was on stdout, and the exit code."""
        end = time.monotonic() + timeout_s
        while self.process.poll() is None:  # a screen that nobody reads would fill its buffer and wait
            assert time.monotonic() < end, self.seen
            self._read(0.1)
        out, _ = self.process.communicate(timeout=10)
        os.close(self.fd)
        return out, self.process.returncode

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self.fd], [], [], timeout_s)
        if not ready:
            return False
        try:
            self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(self.fd, 65536).decode(errors="replace"))
        except OSError:  # the other end is closed
            return False
        return True
