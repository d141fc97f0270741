"""Runs jobs in containers of a Docker Engine on this machine."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from tunewright.domain.errors import SandboxError, UsageError, boundary
from tunewright.domain.frozen import Frozen
from tunewright.domain.job import Job, Limits
from tunewright.domain.protocols import Exit
from tunewright.sandbox.container import LABEL, bury, bury_folder, connect, kill, launch, reap, remove
from tunewright.sandbox.device import assign
from tunewright.sandbox.environment import HOST_PLACES, job_environment
from tunewright.sandbox.handle import KeptHandle, exit_on_record
from tunewright.sandbox.image import bare_image, built_image, environment_digest, find_image, image_environment
from tunewright.sandbox.mount import (
    Mount,
    interpreter_mounts,
    job_mounts,
    model_mounts,
    require_readable,
    system_mounts,
)
from tunewright.sandbox.order import Order
from tunewright.sandbox.record import identity
from tunewright.sandbox.staging import begin

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

NOBODY = 65534
GIB, MIB = 2**30, 2**20


class DockerConfig(Frozen):
    """Options of the docker sandbox. With none, the host's environment is mounted into an image of nothing."""

    image: str | None = None
    """Run in this image, which has Python and our package in it."""
    base: str | None = None
    """Build the image from our Dockerfile on this one."""
    host_env: bool | None = None
    """Mount the host's interpreter and packages, read-only; with ``image``, into that image."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.base and (self.image or self.host_env):
            raise ValueError("base builds an image of its own: leave out image and host-env")
        return self

    @property
    def mounts_host(self) -> bool:
        return self.host_env if self.host_env is not None else not (self.image or self.base)


class DockerSandbox:
    """A ``Sandbox`` of containers, each with a keeper as its first process.

    Args:
        config: options.
        preload: taken for the sake of one signature; a container starts an interpreter of its own.
    """

    name = "docker"

    def __init__(self, config: DockerConfig | None = None, preload: Sequence[str] = ()) -> None:
        self._config = config or DockerConfig()
        self._handles: dict[str, tuple[KeptHandle, tuple[str, ...]]] = {}
        self._owner = identity()
        self._user = os.getuid() or NOBODY
        self._client: DockerClient
        self._image: Image
        self._facts: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._client = connect()
        try:
            self._image = self._find_image()
            reap(self._client)
            self._facts = self._describe()
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for handle, _ in list(self._handles.values()):
                handle.kill()
        finally:
            self._client.close()

    def prepare(self, threads: int) -> None:
        """Nothing: every container begins afresh."""

    def start(self, job: Job) -> KeptHandle:
        devices = self._devices(job.spec.limits.gpus)
        tail = begin(job)
        model_at, model = model_mounts(job.model)
        mounts = [*job_mounts(job.folder.absolute()), *model_at]
        if self._config.mounts_host:
            mounts += interpreter_mounts(job.folder) + ([] if self._config.image else system_mounts())
        require_readable(self._user, job.folder / "in", *(Path(mount.source) for mount in model_at))
        self._give_out(job.out)
        key = str(job.folder.absolute())
        with boundary(SandboxError, f"make a container for job '{job.spec.id}'"):
            container = self._create(job, self._order(job, model, devices), mounts, devices)
        try:
            wire = launch(self._client, container)
        except BaseException:
            remove(container)
            raise
        handle = KeptHandle(wire, tail, lambda said: self._finish(key, container, said), lambda: kill(container))
        self._handles[key] = (handle, devices)
        return handle

    def recover(self, job: Job) -> Exit | None:
        bury_folder(self._client, job.folder.absolute())
        return exit_on_record(job.folder)

    def facts(self) -> Mapping[str, str]:
        """Known once the sandbox is entered."""
        return self._facts

    def _describe(self) -> dict[str, str]:
        inside = "the host's interpreter and libraries, mounted read-only" if self._config.mounts_host else "the image"
        digest = environment_digest(self._image) if self._config.mounts_host else str(self._image.id)
        return {
            "image": digest,
            "isolation": f"a container: user {self._user}, no capabilities, read-only root; the kernel is shared",
            "network": "none",
            "environment": f"scrubbed: an allow-list, no keys or tokens; programs from {inside}",
            "inputs": "read-only mounts",
            "memory": "limited by the engine, killed over the limit",
            "start": "a new container and interpreter",
        }

    def _find_image(self) -> Image:
        if self._config.base:
            return built_image(self._client, self._config.base)
        if self._config.image:
            return find_image(self._client, self._config.image)
        return bare_image(self._client)

    def _devices(self, count: int) -> tuple[str, ...]:
        if count and "nvidia" not in self._client.info().get("Runtimes", {}):
            raise UsageError(
                f"{count} GPUs asked for, but this Docker Engine has no nvidia runtime",
                "install the NVIDIA Container Toolkit, or run with --sandbox process or --gpus 0",
            )
        return assign(count, [name for _, held in self._handles.values() for name in held])

    def _give_out(self, out: Path) -> None:
        """Lets the container's user write ``out/`` where that is not us."""
        if self._user != os.getuid():
            for path in (out, *out.rglob("*")):
                os.chown(path, self._user, self._user, follow_symlinks=False)

    def _order(self, job: Job, model: str, devices: tuple[str, ...]) -> Order:
        limits = job.spec.limits
        environment = job_environment(
            threads=limits.threads,
            home="/tmp",
            temporary="/tmp",
            devices=",".join(str(number) for number in range(len(devices))),
        )
        if not self._config.mounts_host:
            ours = {name: value for name, value in environment.items() if name not in HOST_PLACES}
            environment = {**image_environment(self._image), **ours}
        return Order(
            module=job.module,
            folder="/job",
            model=model,
            environment=environment,
            wall_s=limits.wall_s,
            grace_s=limits.grace_s,
            disk_bytes=int(limits.disk_gib * GIB),
            log_bytes=int(limits.log_mib * MIB),
            pids=limits.pids,
            memory_bytes=None,
            own_network=False,
            warm=False,
            recorded=False,
        )

    def _create(self, job: Job, order: Order, mounts: list[Mount], devices: tuple[str, ...]) -> Container:
        from docker import types

        spec = job.spec
        python = sys.executable if self._config.mounts_host else "python3"
        labels = {"owner": self._owner, "study": spec.study, "job": spec.id, "folder": str(job.folder.absolute())}
        return self._client.containers.create(
            self._image,
            name=f"tunewright-{spec.study[:40]}-{spec.id[:40]}-{secrets.token_hex(4)}",
            entrypoint=[python, "-P", "-m", "tunewright.sandbox.keeper"],
            command=[order.to_json()],
            environment=order.environment,
            labels={LABEL + name: value for name, value in labels.items()},
            mounts=[types.Mount(m.target, m.source, type="bind", read_only=m.read_only) for m in mounts],
            device_requests=[types.DeviceRequest(device_ids=list(devices), capabilities=[["gpu"]])] if devices else [],
            stdin_open=True,  # held open by us: its end tells the keeper that we died
            **self._confinement(spec.limits),
        )

    def _confinement(self, limits: Limits) -> dict[str, Any]:
        from docker import types

        memory = int(limits.memory_gib * GIB)
        processors = float(self._client.info()["NCPU"])
        return {
            "user": f"{self._user}:{self._user if self._user == NOBODY else os.getgid()}",
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": limits.pids + 16,  # the keeper counts the job's own and says so in words
            "mem_limit": memory,
            "memswap_limit": memory,
            "nano_cpus": int(min(limits.threads, processors) * 1e9),
            "tmpfs": {"/tmp": f"rw,nosuid,nodev,mode=1777,size={min(memory // 2, GIB)}"},
            "shm_size": min(memory // 4, GIB),
            "ulimits": [types.Ulimit(name="core", soft=0, hard=0), types.Ulimit(name="nofile", soft=4096, hard=4096)],
            "log_config": types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
            "working_dir": "/",
        }

    def _finish(self, key: str, container: Container, said: Exit | None) -> Exit:
        self._handles.pop(key, None)
        return bury(container, said)
