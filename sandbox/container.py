"""A job's container from its start to its removal, and those that dead processes have left behind."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import SandboxError, boundary
from tunewright.domain.protocols import Exit
from tunewright.sandbox.handle import await_start, exit_of
from tunewright.sandbox.record import Record, living, visible
from tunewright.sandbox.wire import FramedWire

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

START_S = 120.0
END_S = 5.0
LABEL = "tunewright."
"""Every container has the labels ``study``, ``job``, ``folder`` and ``owner``, each after this."""


def connect() -> DockerClient:
    """A client of the Engine on this machine.

    Raises:
        SandboxError: there is none, or it is on another machine, which has none of our files.
    """
    import docker

    hint = "start the Docker Engine (systemctl start docker, or dockerd as root), or run with --sandbox process"
    with boundary(SandboxError, "reach a Docker Engine", hint):
        client = docker.from_env(timeout=60)
        client.ping()
    if not client.api.base_url.startswith(("http+docker://localhost", "http+unix://")):
        raise SandboxError(
            f"the Docker Engine at {client.api.base_url} is on another machine, which has none of this one's files",
            "unset DOCKER_HOST, or run with --sandbox process",
        )
    return client


def launch(client: DockerClient, container: Container) -> FramedWire:
    """Starts the container and waits for its keeper's word that the job runs.

    Raises:
        SandboxError: it could not be started; the container is still there.
    """
    with boundary(SandboxError, "start a container"):
        wire = FramedWire(_attach(client, container))
        try:
            container.start()
            await_start(wire, START_S, wire.complaint)
        except BaseException:
            wire.close()
            raise
    return wire


def reap(client: DockerClient) -> None:
    """Ends and removes the containers of processes that are no more. One that cannot be is left to the next reaper."""
    with boundary(SandboxError, "look for containers left behind"):
        left = client.containers.list(all=True, ignore_removed=True, filters={"label": f"{LABEL}owner"})
    for container in left:
        owner = container.labels[f"{LABEL}owner"]
        if visible(owner) and living(owner) is None:
            with suppress(SandboxError):
                bury(container)


def bury_folder(client: DockerClient, folder: Path) -> None:
    """Ends and removes the containers of the job in ``folder``."""
    with boundary(SandboxError, "look for a job's containers"):
        label = f"{LABEL}folder={folder}"
        found = client.containers.list(all=True, ignore_removed=True, filters={"label": label})
    for container in found:
        bury(container)


def _attach(client: DockerClient, container: Container) -> socket.socket:
    wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    raw = client.api.attach_socket(str(container.id), params=wanted)
    # The client's own file object lives no longer than its response does: a copy of the descriptor is ours.
    sock = socket.socket(fileno=os.dup(raw.fileno()))
    sock.settimeout(None)
    raw.close()
    return sock


def kill(container: Container) -> None:
    """Kills it, if it runs."""
    from docker.errors import DockerException

    with suppress(DockerException):
        container.kill()


def remove(container: Container) -> None:
    """Removes it, running or not."""
    from docker.errors import DockerException

    with suppress(DockerException):
        container.remove(force=True, v=True)


def bury(container: Container, said: Exit | None = None) -> Exit:
    """Makes sure that the container has ended, writes down how in the job's folder, and removes it.

    Args:
        said: how it ended, by its keeper's word; None if there was none.

    Raises:
        SandboxError: the engine does not answer, or does not end it.
    """
    from docker.errors import NotFound

    try:
        with boundary(SandboxError, "end a container"):
            ended = _ended(container, said)
    except SandboxError as error:
        if not isinstance(error.__cause__, NotFound):
            raise
        ended = said or Exit(code=None, signal=9, message="the container was removed from outside")
    folder = Path(container.labels[f"{LABEL}folder"])
    if folder.is_dir():
        Record.of(folder).ended(ended.model_dump())
    remove(container)
    return ended


def _ended(container: Container, said: Exit | None) -> Exit:
    from requests.exceptions import RequestException

    try:
        container.wait(timeout=END_S)
    except RequestException:  # it runs on: its keeper hangs, or hears nothing because it is frozen
        kill(container)
        container.wait(timeout=END_S)
    container.reload()
    state = container.attrs["State"]
    said = said or _reported(container) or _told_by(state)
    if state["OOMKilled"] and said.code not in (0, 10):
        return said.model_copy(update={"out_of_memory": True, "message": f"killed for memory\n{said.message}".strip()})
    return said


def _reported(container: Container) -> Exit | None:
    """The keeper's last report, from the container's log: for a container whose host died."""
    for line in reversed(container.logs(stdout=True, stderr=False, tail=5).splitlines()):
        with suppress(ValueError):
            report = json.loads(line)
            if report.get("kind") == "exit":
                return exit_of(report)
    return None


def _told_by(state: Mapping[str, Any]) -> Exit:
    code = int(state["ExitCode"])
    killed = code - 128 if code > 128 else None
    message = state.get("Error") or "the container ended without a word of its keeper"
    return Exit(code=None if killed else code, signal=killed, message=message)
