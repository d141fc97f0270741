"""The few lines between a keeper's fork and the job's own code."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import traceback
from typing import NoReturn

from tunewright.sandbox.confinement import die_with_parent, leave_network, limit
from tunewright.sandbox.order import Order


def become(order: Order, keeper: int, output: int, trouble: int, foreign: set[int]) -> NoReturn:
    """Turns this freshly forked process into the job. Never returns.

    Args:
        order: what to run.
        keeper: process id of the parent, which this process must not outlive.
        output: file descriptor for stdout and stderr.
        trouble: file descriptor, closed on exec, that says why the job could not be started; closed without a
            word when it has been.
        foreign: the keeper's descriptors, which are not the job's.
    """
    try:
        for descriptor in foreign:
            if descriptor > 2:
                os.close(descriptor)
        os.setsid()
        die_with_parent(keeper)
        _default_signals()
        _redirect(output)
        order.scratch.mkdir(parents=True, exist_ok=True)
        os.chdir(order.scratch)
        os.umask(0o022)
        limit(order.disk_bytes)
        if order.own_network:
            leave_network()
        if not order.warm:
            # -P keeps the working directory, which the job can write, off the module path.
            command = [sys.executable, "-P", "-m", order.module, *order.arguments]
            os.execve(sys.executable, command, order.environment)
        # The fork server's environment is the job's already, but for the homes and what its imports have set for
        # themselves, as they would in a new interpreter.
        os.environ.update(order.environment)
    except BaseException as error:
        os.write(trouble, str(error).encode()[:1000] or b"unknown")
        os._exit(1)
    os.close(trouble)
    os._exit(_call(order))


def _default_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _redirect(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)


def _call(order: Order) -> int:
    """What ``python -m MODULE`` does, in this interpreter: runs ``main`` and gives its exit code."""
    gc.enable()
    sys.argv = [order.module, *order.arguments]
    try:
        code = importlib.import_module(f"{order.module}.__main__").main(order.arguments)
    except SystemExit as leaving:
        code = leaving.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return int(code or 0) & 0xFF
