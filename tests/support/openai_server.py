"""A server on loopback that speaks the OpenAI chat API over real HTTP, and does to each request what its script says.

    with OpenAiServer([Reply("busy", status=429, headers={"Retry-After": "1"}), Reply('{"answer": 4}')]) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        ...  # litellm model openai/NAME

It counts what a provider would bill: every request that it read whole and began to answer, whether or not the answer
arrived.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

Request = dict[str, Any]
"""The body of one request."""


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    content: str | None = ""
    """The answer's text; with another status the error's message."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_s: float = 0.0
    """Silence before the first byte."""
    usage: bool | Mapping[str, int] = True
    """Whether tokens are counted, or what is said of them."""
    finish: str = "stop"
    calls: Sequence[tuple[str, str]] = ()
    """Tools that the model wants called: name and arguments as the model wrote them, which need not be JSON."""
    refusal: str | None = None
    body: bytes | None = None
    """Sent in place of what would be made of all this."""
    breaks: Literal["", "before", "half"] = ""
    """Where the connection is dropped: before the first byte, or in the middle of the body."""
    billed: bool | None = None
    """Whether the provider charges for it; by default with status 200."""

    @property
    def charged(self) -> bool:
        return self.status == 200 if self.billed is None else self.billed

    def document(self, model: str, tokens: Mapping[str, int]) -> bytes:
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": self.content or f"status {self.status}"}}).encode()
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.calls:
            message["tool_calls"] = [
                {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for number, (name, arguments) in enumerate(self.calls)
            ]
        if self.refusal is not None:
            message["refusal"] = self.refusal
        finish = "tool_calls" if self.calls else self.finish
        document: dict[str, Any] = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        }
        if self.usage is not False:
            document["usage"] = dict(tokens)
        return json.dumps(document).encode()


USAGE = {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100}
Script = Sequence[Reply] | Callable[[Request], Reply]


class OpenAiServer:
    """Answers by its script and keeps the requests.

    Args:
        script: the replies in order, or a function from the request to its reply.
    """

    def __init__(self, script: Script = ()) -> None:
        self._answer = script if callable(script) else None
        self.replies: list[Reply] = [] if callable(script) else list(script)
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []
        """Of each request, names in lower case."""
        self.billed: list[int] = []
        """Tokens that a provider would have charged, a request each."""
        self._turn = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.base = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def forms(self) -> list[str]:
        """How a structured answer was asked for, a request each."""
        return [_form(request) for request in self.requests]

    def keys(self) -> list[str]:
        """The idempotency key of each request; empty where there was none."""
        return [headers.get("idempotency-key", "") for headers in self.headers]

    def take(self, request: Request, headers: dict[str, str]) -> tuple[Reply, dict[str, int]]:
        """Notes the request; the reply to it and the tokens that it counts."""
        with self._turn:
            self.requests.append(request)
            self.headers.append(headers)
            if self._answer is not None:
                reply = self._answer(request)
            elif self.replies:
                reply = self.replies.pop(0)
            else:
                reply = Reply("the script has no further reply", status=418)
            tokens = dict(reply.usage) if isinstance(reply.usage, Mapping) else dict(USAGE)
            if reply.charged:
                self.billed.append(tokens.get("total_tokens", 0))
            return reply, tokens


def _form(request: Request) -> str:
    if "tools" in request:
        return "tools"
    return str(request.get("response_format", {}).get("type", "plain"))


def _handler(server: OpenAiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply, tokens = server.take(request, {name.lower(): value for name, value in self.headers.items()})
            time.sleep(reply.hang_s)
            if reply.breaks == "before":
                return self._drop()
            body = reply.document(str(request.get("model")), tokens)
            self.send_response(reply.status)
            for name, value in ({"Content-Type": "application/json"} | dict(reply.headers)).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if reply.breaks == "half" else body)
            self.wfile.flush()
            if reply.breaks == "half":
                self._drop()
            return None

        def _drop(self) -> None:
            """Resets the connection, as a machine that is switched off does."""
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (OSError, ValueError):
                self.close_connection = True  # the client gave up waiting, as the test wants

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # it was dropped
                super().finish()

    return Handler
