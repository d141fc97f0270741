"""Runs jobs as tasks of a Ray cluster: on whichever node has room, and on another one if that is lost."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import Field, field_validator

from tunewright.domain.errors import SandboxError, UsageError, boundary
from tunewright.domain.frozen import Frozen
from tunewright.domain.job import Job
from tunewright.domain.protocols import Exit
from tunewright.sandbox.arrival import Arrival
from tunewright.sandbox.attempt import Attempt, AttemptWire, Line
from tunewright.sandbox.cluster import Connection, Needs, amounts, connect, here, hopeless, nodes, remote
from tunewright.sandbox.freight import Announced, Dispatch, Ended, Freight, Grown, Parcel, Piece, Placed
from tunewright.sandbox.handle import KeptHandle, exit_on_record
from tunewright.sandbox.post import Post
from tunewright.sandbox.record import Record, read_object, write_object
from tunewright.sandbox.sameness import code_digest
from tunewright.sandbox.shipping import Shipping, put_state
from tunewright.sandbox.site import describe, perform, salvage
from tunewright.sandbox.staging import begin

DESCRIBE_S = 60.0
RECOVER_S = 60.0
UNREAD = 16
"""Dispatches that a task may be ahead of the host; then it waits, so that the object store holds no backlog."""
PLACED = "placed.json"
"""In a job's folder while it is on a node: where, for a later host."""


class RayConfig(Frozen):
    """Options of the ray sandbox."""

    address: str = "auto"
    """``HOST:PORT`` of the cluster's head, ``local`` for a new one of this machine alone, or ``auto``: the cluster
    that this machine is a node of, else ``local``."""
    retries: int = Field(2, ge=0)
    """How often a job goes on elsewhere after its node was lost. A job that fails by itself is never tried again."""
    reserve_memory: bool = True
    """Have Ray set each job's memory limit aside; off: jobs share a node's memory."""
    resources: str = ""
    """What else a job takes of its node, by the cluster's own names, such as ``fast_disk=1,room=0.5``."""
    node_wait_s: float = Field(0.0, ge=0)
    """How long a job waits for a node that could hold it to join, such as one that an autoscaler starts."""
    folder: Path | None = None
    """Where nodes keep models, inputs and running jobs; by default below their temporary directory."""

    @field_validator("resources")
    @classmethod
    def _readable(cls, value: str) -> str:
        amounts(value)
        return value


class RaySandbox:
    """A ``Sandbox`` of tasks, each with a process and its keeper on the node that runs it. Several threads may start
    jobs.

    Args:
        config: options.
        preload: taken for the sake of one signature; a node starts an interpreter for each job.
    """

    name = "ray"

    def __init__(self, config: RayConfig | None = None, preload: Sequence[str] = ()) -> None:
        self._config = config or RayConfig()
        self._extra = amounts(self._config.resources)
        self._lock = threading.Lock()
        self._handles: dict[str, KeptHandle] = {}
        self._shipping = Shipping()
        self._connection: Connection
        self._post: Any
        self._described: dict[str, Any] = {}
        self._facts: dict[str, str] = {}
        self.fetched: list[tuple[str, str]] = []
        """Which node had to fetch which content: each pair is there once, but for a node that lost its folder."""

    def __enter__(self) -> Self:
        self._connection = connect(self._config.address)
        try:
            with boundary(SandboxError, "start the actor that running jobs listen to"):
                self._post = remote(Post, here(), num_cpus=0).remote()
            self._described = {node.id: remote(describe, node.id, num_cpus=0).remote() for node in nodes()}
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        try:
            with self._lock:
                handles = list(self._handles.values())
            for handle in handles:
                handle.kill()
            with suppress(ray.exceptions.RayError):
                ray.kill(self._post)
        finally:
            self._connection.close()

    def prepare(self, threads: int) -> None:
        """Nothing: entering has each node start a worker."""

    def start(self, job: Job) -> KeptHandle:
        needs = Needs.of(job.spec.limits, self._extra, self._config.reserve_memory, nodes())
        if not self._config.node_wait_s and (reason := hopeless(needs, ())):
            raise UsageError(reason, "lower --threads, --gpus or the option resources, or add a node")
        tail = begin(job)
        began, wait_s = time.monotonic(), self._config.node_wait_s
        line = Line(
            submit=self._submitter(job, needs),
            hopeless=lambda avoided: hopeless(needs, avoided) if time.monotonic() - began > wait_s else "",
            say=self._post.say.remote,
            placed=lambda placed: self._placed(job, placed),
        )
        wire = AttemptWire(line, Arrival(job.folder), self._config.retries, job.spec.limits.wall_s)
        try:
            wire.await_start()
        except BaseException:
            wire.close()
            raise
        key = str(job.folder.absolute())
        handle = KeptHandle(wire, tail, lambda said: self._finish(key, job, said), wire.close)
        with self._lock:
            self._handles[key] = handle
        return handle

    def recover(self, job: Job) -> Exit | None:
        placed = read_object(job.folder / PLACED)
        if placed:
            with boundary(SandboxError, f"see to what an earlier process left of job '{job.spec.id}'"):
                self._salvage(job, placed)
            (job.folder / PLACED).unlink(missing_ok=True)
        return exit_on_record(job.folder)

    def facts(self) -> Mapping[str, str]:
        """Known once the sandbox is entered; each node was asked."""
        if not self._facts:
            self._facts = summary(self._answers())
        return self._facts

    def _submitter(self, job: Job, needs: Needs) -> Callable[[Collection[str]], Attempt]:
        model = self._shipping.parcel(job.model)
        inputs = self._shipping.inputs(job.folder / "in")
        return lambda avoided: self._submit(job, needs, model, inputs, avoided)

    def _submit(
        self, job: Job, needs: Needs, model: Parcel, inputs: dict[str, Parcel], avoided: Collection[str]
    ) -> Attempt:
        token = f"{job.spec.study[:40]}-{job.spec.id[:40]}-{secrets.token_hex(4)}"
        with boundary(SandboxError, f"hand job '{job.spec.id}' to the cluster"):
            freight = Freight(
                token=token,
                spec=(job.folder / "spec.json").read_text(encoding="utf-8"),
                module=job.module,
                model=model,
                inputs=inputs,
                state=put_state(job.out),
                code=code_digest(),
                packages=job.spec.code.packages,
                folder=str(self._config.folder) if self._config.folder else None,
            )
            task = remote(
                perform,
                num_cpus=needs.cpus,
                num_gpus=needs.gpus,
                memory=needs.memory_bytes or None,
                resources=dict(needs.extra) or None,
                label_selector={"ray.io/node-id": f"!in({','.join(avoided)})"} if avoided else None,
                # Another attempt has to start from the newest checkpoint, which Ray does not know: see AttemptWire.
                max_retries=0,
                num_returns="streaming",
                _generator_backpressure_num_objects=UNREAD,
                name=f"tunewright {job.spec.study} {job.spec.id}",
            )
            return Attempt(token, task.remote(freight, self._post), freight)

    def _placed(self, job: Job, placed: Placed) -> None:
        self.fetched += [(placed.node, digest) for digest in placed.fetched]
        write_object(job.folder / PLACED, {"node": placed.node, "place": placed.place})

    def _salvage(self, job: Job, placed: Mapping[str, Any]) -> None:
        """Brings back what the attempt has left, from the node or, if the cluster ended with its host, from here."""
        import ray

        events = job.out / "events.jsonl"
        content = events.read_bytes() if events.exists() else b""
        asked = (str(placed["place"]), len(content), hashlib.sha256(content).hexdigest())
        found: Iterable[Dispatch] = salvage(*asked)
        if placed["node"] in {node.id for node in nodes()}:
            task = remote(salvage, str(placed["node"]), num_cpus=0, max_retries=0, num_returns="streaming")
            found = (ray.get(reference, timeout=RECOVER_S) for reference in task.remote(*asked))
        arrival = Arrival(job.folder)
        for dispatch in found:
            if isinstance(dispatch, Ended):
                Record.of(job.folder).ended(dict(dispatch.exit))
            elif isinstance(dispatch, Grown | Announced | Piece):
                arrival.take(dispatch)
        arrival.close()

    def _answers(self) -> list[Mapping[str, str]]:
        import ray

        references = list(self._described.values())
        ready, _ = ray.wait(references, num_returns=len(references), timeout=DESCRIBE_S)
        answers: list[Mapping[str, str]] = []
        for reference in references:
            try:
                answers.append(ray.get(reference, timeout=0) if reference in ready else {})
            except ray.exceptions.RayError:
                answers.append({})
        return answers

    def _finish(self, key: str, job: Job, said: Exit | None) -> Exit:
        with self._lock:
            self._handles.pop(key, None)
        ended = said or Exit(code=None, message="the cluster has ended, and the job with it")
        (job.folder / PLACED).unlink(missing_ok=True)
        Record.of(job.folder).ended(ended.model_dump())
        return ended


def summary(answers: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The facts of a cluster from what each node says of itself; an empty answer is a node that said nothing."""
    told = [answer for answer in answers if answer]
    closed = sum(answer["network"].startswith("none") for answer in told)
    same = sum(answer["code"] == code_digest() for answer in told)
    network = f"open: {len(answers) - closed} of {len(answers)} nodes cannot make a network namespace, or did not say"
    if told and closed == len(answers):
        network = f"none: a network namespace of its own, tested on each of {len(answers)} nodes"
    return {
        "isolation": "a process of its own with limits, on a node of a Ray cluster; no security boundary: it can do "
        "what the user of the node's Ray can",
        "network": network,
        "environment": "scrubbed: an allow-list of the node's, no keys or tokens",
        "inputs": "copied to the node once, checked by digest; read-only by file mode, which does not bind root",
        "memory": "set aside by Ray, watched on the node ten times a second, killed over the limit",
        "start": "a new interpreter",
        "nodes": f"{len(answers)}, {same} with the host's code",
    }
