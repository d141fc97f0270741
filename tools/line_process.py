"""A process that answers each line of JSON with another, and is ended when it does not."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

_GOODBYE_S = 1.0


class LineProcess:
    """A new interpreter and no fork: the threads of the process that asks would not survive one.

    It should end when its stdin does, which is when the asking process ends, however that happens.

    Args:
        command: what to run.
        environment: all that it sees of it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._rest = b""
        self._end = weakref.finalize(self, _ended, self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, message: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        """The reply to a message.

        Raises:
            TimeoutError: none came in time.
            EOFError: the process has ended; says how.
        """
        deadline = time.monotonic() + limit_s
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise EOFError(self._how()) from error
        source = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([source], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(source, 1 << 16)
            if not chunk:
                raise EOFError(self._how())
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def end(self) -> None:
        """Kills the process. May be called twice."""
        self._end()

    def _how(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_GOODBYE_S)
            return f"signal {-code}" if code < 0 else f"exit code {code}"
        return "it closed its output"


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            if stream is not None:
                stream.close()
