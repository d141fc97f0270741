"""Runs jobs as processes of this machine: the default sandbox. Guards against accidents, not against malice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Self

import psutil

from tunewright.domain.errors import SandboxError
from tunewright.domain.frozen import Frozen
from tunewright.domain.job import Job
from tunewright.domain.protocols import Exit
from tunewright.sandbox.confinement import own_network_works
from tunewright.sandbox.device import assign
from tunewright.sandbox.environment import job_environment
from tunewright.sandbox.handle import KeptHandle, await_start, exit_on_record
from tunewright.sandbox.order import Order
from tunewright.sandbox.record import Record
from tunewright.sandbox.server import ForkServer
from tunewright.sandbox.staging import begin
from tunewright.sandbox.wire import SocketWire

START_S = 300.0
"""How long the imports of the fork server may take on a slow disk."""
RECOVER_S = 15.0
GIB, MIB = 2**30, 2**20


class ProcessConfig(Frozen):
    """Options of the process sandbox."""

    fork_server: bool = True
    """Fork jobs from a process that has the libraries imported; off: a new interpreter for each."""


@dataclass(frozen=True)
class _Running:
    handle: KeptHandle
    devices: tuple[str, ...]


class ProcessSandbox:
    """A ``Sandbox`` of processes, each with a keeper of its own.

    Args:
        config: options.
        preload: modules that the fork server imports before the first job.
    """

    name = "process"

    def __init__(self, config: ProcessConfig | None = None, preload: Sequence[str] = ()) -> None:
        self._config = config or ProcessConfig()
        self._preload = tuple(preload) if self._config.fork_server else ()
        self._servers: list[ForkServer] = []
        self._running: dict[str, _Running] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for running in list(self._running.values()):
                running.handle.kill()
        finally:
            for server in self._servers:
                server.close()
            self._servers.clear()

    def prepare(self, threads: int) -> None:
        if self._preload:
            self._server(job_environment(threads=threads, home="", temporary="", devices="")).warm_up()

    def start(self, job: Job) -> KeptHandle:
        held = [name for running in self._running.values() for name in running.devices]
        devices = assign(job.spec.limits.gpus, held)
        tail = begin(job)
        order = self._order(job, devices)
        wire, pid = self._launch(order)
        key = str(job.folder.absolute())
        leader = _process(pid)
        handle = KeptHandle(wire, tail, lambda said: self._finish(key, said), lambda: _destroy(leader))
        self._running[key] = _Running(handle, devices)
        return handle

    def recover(self, job: Job) -> Exit | None:
        keeper = Record.of(job.folder).keeper()
        if keeper:
            # A keeper kills its job within moments of its host's death; only one that hangs is still there.
            try:
                keeper.wait(RECOVER_S)
            except psutil.TimeoutExpired:
                _destroy(keeper)
        return exit_on_record(job.folder)

    def facts(self) -> Mapping[str, str]:
        cut_off = _cut_off()
        return {
            "isolation": "a separate process with limits; no security boundary: it can do what its user can",
            "network": "none: a network namespace of its own, tested"
            if cut_off
            else "open: this kernel or user cannot make a network namespace",
            "environment": "scrubbed: an allow-list, no keys or tokens",
            "inputs": "read-only by file mode" + (", which does not bind root" if os.getuid() == 0 else ""),
            "memory": "watched ten times a second, killed over the limit",
            "start": "forked from a process with the libraries imported" if self._preload else "a new interpreter",
        }

    def _order(self, job: Job, devices: tuple[str, ...]) -> Order:
        limits = job.spec.limits
        folder = job.folder.absolute()
        scratch = str(folder / "out" / "tmp")
        return Order(
            module=job.module,
            folder=str(folder),
            model=str(job.model.absolute()),
            environment=job_environment(
                threads=limits.threads, home=scratch, temporary=scratch, devices=",".join(devices)
            ),
            wall_s=limits.wall_s,
            grace_s=limits.grace_s,
            disk_bytes=int(limits.disk_gib * GIB),
            log_bytes=int(limits.log_mib * MIB),
            pids=limits.pids,
            memory_bytes=int(limits.memory_gib * GIB),
            own_network=_cut_off(),
            warm=bool(self._preload),
            recorded=True,
        )

    def _launch(self, order: Order) -> tuple[SocketWire, int]:
        """Has the order started; a fork server that turns out to be dead is replaced once."""
        server = self._server(order.environment)
        served_before = server.alive
        try:
            return self._submit(server, order)
        except SandboxError:
            if not served_before or not server.dies_within(1.0):
                raise
        return self._submit(server, order)

    def _submit(self, server: ForkServer, order: Order) -> tuple[SocketWire, int]:
        wire = server.submit(order)
        try:
            return wire, await_start(wire, START_S, server.last_words)
        except BaseException:
            wire.close()  # the keeper, if there is one, hears this and kills the job
            raise

    def _server(self, environment: Mapping[str, str]) -> ForkServer:
        for server in self._servers:
            if server.suits(environment):
                return server
        self._servers.append(ForkServer(environment, self._preload))
        return self._servers[-1]

    def _finish(self, key: str, said: Exit | None) -> Exit:
        self._running.pop(key, None)
        return said or Exit(code=None, signal=9, message="the job's keeper was killed, and the job with it")


@cache
def _cut_off() -> bool:
    return own_network_works()


def _process(pid: int) -> psutil.Process | None:
    """The process as it is now, so that its number given to another later harms nobody."""
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _destroy(top: psutil.Process | None) -> None:
    """Kills a process and all below it, for when there is no keeper to do it."""
    with suppress(psutil.Error):
        processes = [top, *top.children(recursive=True)] if top else []
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=5)
