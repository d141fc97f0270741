"""The Ray cluster: reaching one or starting one on this machine, its nodes, and what a job needs of a node."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tunewright.domain.errors import SandboxError, UsageError, boundary
from tunewright.domain.job import Limits

LOOPBACK = "127.0.0.2"
"""Ray takes 127.0.0.1 for "this machine" and puts the address in its place that others reach it at."""
REACH_S = 5.0
GIB = 2**30


@dataclass(frozen=True)
class Connection:
    """This process as a driver of a cluster."""

    address: str
    ours: bool
    """Whether it was made here, and not by whoever runs us."""
    started: bool = False
    """Whether the cluster was started here."""

    def close(self) -> None:
        """Leaves the cluster, and ends it if it was started here."""
        import ray

        if self.ours:
            ray.shutdown()


@dataclass(frozen=True)
class Node:
    """A living node."""

    id: str
    name: str
    resources: Mapping[str, float]


@dataclass(frozen=True)
class Needs:
    """What a job takes of its node while it runs."""

    cpus: int
    gpus: int
    memory_bytes: int
    """0: nothing is set aside."""
    extra: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: Limits, extra: Mapping[str, float], reserve_memory: bool, nodes: list[Node]) -> Needs:
        """A limit above what any node has to give takes all of the largest: it is a limit, not a need."""
        largest = max((node.resources.get("memory", 0.0) for node in nodes), default=0.0)
        memory = int(min(limits.memory_gib * GIB, largest)) if reserve_memory else 0
        return cls(limits.threads, limits.gpus, memory, extra)

    def fits(self, node: Node) -> bool:
        """Whether the node could hold the job if it held nothing else."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_bytes, **self.extra}
        return all(node.resources.get(name, 0.0) >= amount for name, amount in wanted.items() if amount)

    def says(self) -> str:
        """In words."""
        more = "".join(f", {amount:g} {name}" for name, amount in self.extra.items())
        return f"{self.cpus} CPUs, {self.gpus} GPUs, {self.memory_bytes / GIB:.1f} GiB{more}"


def connect(address: str) -> Connection:
    """Joins the cluster at ``address``; with ``auto`` the one that this machine is a node of, or a new one of this
    machine alone.

    Raises:
        UsageError: Ray is not installed, or the address is of no kind that can be used.
        SandboxError: no cluster answers there, or this machine is not a node of it.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("the ray sandbox needs Ray, which is not installed", 'pip install "tunewright[ray]"') from None
    if ray.is_initialized():
        return _joined(address)
    found = _resolve(address)
    if found is None:
        with _quiet(), boundary(SandboxError, "start Ray on this machine"):
            context = ray.init(address="local", include_dashboard=False, _node_ip_address=LOOPBACK, **_SILENT)
        return Connection(str(context.address_info["gcs_address"]), ours=True, started=True)
    # To a cluster that it has found by itself Ray gives the token of this machine; to a named one, which may want
    # none, it gives none unless it is told to.
    given = "auto" if address == "auto" and not os.environ.get("RAY_ADDRESS") else found
    hint = (
        "this machine has to be a node of the cluster, with the Ray and the Python of the others: ray start --address; "
        "where the cluster wants a token, set RAY_AUTH_MODE=token"
    )
    with _quiet(), boundary(SandboxError, f"join the Ray cluster at {found}", hint):
        ray.init(address=given, **_SILENT)
    return Connection(found, ours=True)


def nodes() -> list[Node]:
    """The living nodes."""
    import ray

    return [
        Node(str(one["NodeID"]), str(one.get("NodeName") or one["NodeManagerHostname"]), dict(one["Resources"]))
        for one in ray.nodes()
        if one["Alive"]
    ]


def hopeless(needs: Needs, avoided: Collection[str]) -> str:
    """Why no node but ``avoided`` could hold the job; nothing if one could."""
    there = [node for node in nodes() if node.id not in avoided]
    if any(needs.fits(node) for node in there):
        return ""
    return f"none of {len(there)} nodes has {needs.says()}"


def remote(body: Any, node: str | None = None, **options: Any) -> Any:
    """A task or actor of ours, on a node of our choice where one is named."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if node is not None:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(body).options(**options)


def here() -> str:
    """The node that this process is on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def amounts(text: str) -> dict[str, float]:
    """``a=1,b=0.5`` as amounts.

    Raises:
        ValueError: it reads otherwise.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, amount = part.partition("=")
        try:
            found[name.strip()] = float(amount)
        except ValueError:
            raise ValueError("write NAME=AMOUNT, with commas between several") from None
    return found


_SILENT = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}


def _joined(address: str) -> Connection:
    """The connection that this process has already."""
    import ray

    there = str(ray.get_runtime_context().gcs_address)
    if address not in ("auto", there):
        raise SandboxError(
            f"this process is joined to the Ray cluster at {there}, not to {address}",
            "call ray.shutdown() first, or leave the option address out",
        )
    return Connection(there, ours=False)


def _resolve(address: str) -> str | None:
    """``host:port`` of a cluster that answers; None if one has to be started."""
    given = os.environ.get("RAY_ADDRESS") if address == "auto" else address
    if given is None or given == "auto":
        found = _current()
        return found if found and _answers(found) else None
    if given == "local":
        return None
    host, _, port = given.rpartition(":")
    if "://" in given or not host or not port.isdigit():
        raise UsageError(
            f"'{given}' is no address of a Ray cluster",
            "give HOST:PORT of its head node, auto, or local; ray:// is not spoken, run on a node of the cluster",
        )
    # Ray itself would try for a quarter of an hour.
    if not _answers(given):
        raise SandboxError(f"no Ray cluster answers at {given}", "start one with: ray start --head")
    return given


def _current() -> str | None:
    """The address that ``ray start`` has left on this machine."""
    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address("auto")
    except (ConnectionError, ValueError):
        return None
    return str(found) if found else None


def _answers(address: str) -> bool:
    import ray

    host, _, port = address.rpartition(":")
    if host in ("localhost", "127.0.0.1"):
        host = ray.util.get_node_ip_address()  # as Ray will
    try:
        socket.create_connection((host, int(port)), timeout=REACH_S).close()
    except OSError:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what is not Ray's business: who hears SIGTERM, and what is written to stdout."""
    from ray._private import worker

    # The end of a dead node's log goes to stdout, where --json has one object.
    worker._worker_logs_enabled = False
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)
