"""A process with the heavy imports done, which forks a keeper for each job.

It only imports: no tensor is made and no thread is started here, since neither survives a fork. It knows nothing of the
jobs; each keeper talks to the host over a socket of its own, so jobs run on if this process dies.

    python -m tunewright.sandbox.forkserver DESCRIPTOR SCRATCH [MODULE ...]
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence

from tunewright.sandbox.keeper import Keeper
from tunewright.sandbox.order import Order

ORDER_BYTES = 1 << 17


def serve(channel: socket.socket) -> None:
    """Forks a keeper for each order that arrives with a socket, until the host closes ``channel``."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects ended keepers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        text, passed, _, _ = socket.recv_fds(channel, ORDER_BYTES, 1)
        if not text:
            return
        if os.fork() == 0:
            channel.close()
            os._exit(_keep(text, passed[0]))
        os.close(passed[0])


def _keep(text: bytes, host: int) -> int:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        return Keeper(Order.from_json(text), control=host, report=host).run()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1


def main(argv: Sequence[str]) -> int:
    """``argv``: the descriptor of a packet socket to the host, a directory for the libraries to put things in, which
    is removed at the end, then the modules to import."""
    channel = socket.socket(fileno=int(argv[0]))
    for name in argv[2:]:
        importlib.import_module(name)
    # What is imported is garbage to nobody: keeping the collector away from it keeps its pages shared.
    gc.collect()
    gc.disable()
    gc.freeze()
    serve(channel)
    shutil.rmtree(argv[1], ignore_errors=True)  # the host may have died without a chance to
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
