"""The line between the host and a keeper: words one way, JSON objects the other."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Any, Protocol

RECEIVE_BYTES = 1 << 16
FRAME_HEADER = struct.Struct(">BxxxI")


class Wire(Protocol):
    """Used by one thread, but for ``send``."""

    def send(self, word: str) -> None:
        """Tells the keeper ``stop`` or ``kill``. A keeper that has ended hears nothing, which is no error."""

    def reports(self, timeout_s: float) -> list[dict[str, Any]] | None:
        """What the keeper said since the last call; waits up to ``timeout_s`` for it. None: it has hung up."""

    def close(self) -> None:
        """Hangs up; a keeper that still runs kills its job. May be called twice."""


class SocketWire:
    """Over a stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._partial = b""
        # A word must not go to whoever is given the number of a socket that is closed meanwhile.
        self._sending = threading.Lock()

    def send(self, word: str) -> None:
        with self._sending, suppress(OSError):
            self._socket.sendall(word.encode() + b"\n")

    def reports(self, timeout_s: float) -> list[dict[str, Any]] | None:
        if self._socket.fileno() < 0:
            return None
        if not select.select([self._socket], [], [], max(0.0, timeout_s))[0]:
            return []
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except OSError:
            return None
        return self._objects(self._content(data)) if data else None

    def close(self) -> None:
        with self._sending:
            self._socket.close()

    def _content(self, data: bytes) -> bytes:
        return data

    def _objects(self, content: bytes) -> list[dict[str, Any]]:
        *lines, self._partial = (self._partial + content).split(b"\n")
        said = []
        for line in lines:
            with suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    said.append(value)
        return said


class FramedWire(SocketWire):
    """Over a Docker attach socket: what comes is framed, stdout and stderr apart; what goes is not.

    Stderr is kept aside: it is what Python says when the keeper cannot even be started.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._frames = b""
        self._complaint = b""

    def complaint(self) -> str:
        """The end of what came on stderr."""
        return self._complaint.decode(errors="replace")

    def _content(self, data: bytes) -> bytes:
        self._frames += data
        content = b""
        while len(self._frames) >= FRAME_HEADER.size:
            stream, length = FRAME_HEADER.unpack_from(self._frames)
            end = FRAME_HEADER.size + length
            if len(self._frames) < end:
                break
            payload, self._frames = self._frames[FRAME_HEADER.size : end], self._frames[end:]
            if stream == 2:
                self._complaint = (self._complaint + payload)[-4096:]
            else:
                content += payload
        return content
