"""A node's side of a job: what it keeps, and the task that runs one attempt there.

The job itself runs in a ``ProcessSandbox`` of the node, so its limits, its keeper and its scrubbed environment are the
same as on one machine. If the worker of the task ends, however it ends, the keeper hears that and kills the job.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.domain.job import Job, job_spec
from tunewright.domain.protocols import Exit, Handle
from tunewright.sandbox.freight import Announced, Dispatch, Ended, Freight, Grown, Piece, Placed, Started
from tunewright.sandbox.nodestore import NodeStore
from tunewright.sandbox.parcel import listing, pack_files, pieces, unpack
from tunewright.sandbox.process import ProcessConfig, ProcessSandbox
from tunewright.sandbox.sameness import code_digest, require_same
from tunewright.sandbox.staging import stage
from tunewright.sandbox.tail import LINE_BYTES, chunk_at

POLL_S = 0.05
LINKS = 5
"""How often a snapshot is begun anew because the job has moved its files meanwhile."""
APART = ("events.jsonl", "tmp")
"""What of ``out/`` is in no snapshot: the events travel as they come, scratch not at all."""


@dataclass(frozen=True)
class _Guest(Job):
    """A job on a node, with its module by name."""

    runs: str

    @property
    def module(self) -> str:
        return self.runs


def perform(freight: Freight, post: Any) -> Generator[Dispatch, None, None]:
    """Runs one attempt to its end: the body of a Ray task.

    Args:
        post: the actor that has the host's words.

    Raises:
        SandboxError: the node has other code, or could not start the job.
    """
    require_same(freight.code, freight.packages)
    store = NodeStore.here(freight.folder)
    place = store.place(freight.token)
    # A worker whose host has died is told to leave (SystemExit): what the job has written is the next host's.
    left = True
    try:
        job, fetched = _unload(freight, store, place)
        yield Placed(node=store.node, place=str(place), fetched=tuple(fetched))
        growth = _Growth(job.out / "events.jsonl")
        sent = listing(job.out, APART)
        with ProcessSandbox(ProcessConfig(fork_server=False)) as sandbox:
            handle = sandbox.start(job)
            yield Started()
            left = yield from _attend(handle, _Words(post, freight.token), growth, _Snapshots(job.out, sent))
    except Exception:
        left = False
        raise
    finally:
        if not left:
            shutil.rmtree(place, ignore_errors=True)


def _unload(freight: Freight, store: NodeStore, place: Path) -> tuple[Job, list[str]]:
    """The job's folder on this node, and the digests that had to be fetched for it."""
    fetched: list[str] = []
    model = store.fetch(freight.model, fetched)
    inputs = {name: store.fetch(parcel, fetched) for name, parcel in freight.inputs.items()}
    spec = job_spec.validate_json(freight.spec)
    folder = stage(place, spec, inputs)
    if freight.state:
        unpack(store.stream(freight.state), folder / "out")
    return _Guest(spec=spec, folder=folder, model=model, runs=freight.module), fetched


def _attend(handle: Handle, words: _Words, growth: _Growth, snapshots: _Snapshots) -> Generator[Dispatch, None, bool]:
    """The loop. Gives whether the host is gone: then the folder is left, for the host that comes after it."""
    ended: Exit | None = None
    while ended is None:
        match words.new():
            case "stop":
                handle.ask_to_stop()
            case "kill":
                handle.kill()
            case "gone":
                handle.kill()
                return True
        ended = handle.wait(POLL_S)
        for lines in growth.read(final=ended is not None):
            before, after = _at_checkpoint(lines)
            if before:
                yield Grown(before)
            if after:
                # First the checkpoint, then the word that there is one: it is true where it is heard.
                yield from snapshots.take()
                yield Grown(after)
    yield from snapshots.take()
    yield Ended(ended.model_dump())
    return False


def _at_checkpoint(lines: bytes) -> tuple[bytes, bytes]:
    """``lines`` up to the first that tells of a checkpoint, and the rest."""
    at = 0
    for line in lines.splitlines(keepends=True):
        if len(line) < LINE_BYTES and b"checkpointed" in line and _kind(line) == "checkpointed":
            return lines[:at], lines[at:]
        at += len(line)
    return lines, b""


def _kind(line: bytes) -> str:
    with suppress(ValueError, AttributeError):
        return str(json.loads(line).get("kind"))
    return ""


class _Words:
    """What the host says to the attempt. Asking costs next to nothing: a call waits at the post meanwhile."""

    def __init__(self, post: Any, token: str) -> None:
        self._post = post
        self._token = token
        self._known = ""
        self._pending = post.hear.remote(token, "")

    def new(self) -> str:
        """A word that was not heard before, or nothing; ``gone`` if there is no host any more."""
        import ray
        from ray.exceptions import RayError

        if not ray.wait([self._pending], timeout=0)[0]:
            return ""
        try:
            self._known = str(ray.get(self._pending))
        except RayError:
            return "gone"
        self._pending = self._post.hear.remote(self._token, self._known)
        return self._known


class _Growth:
    """What is added to a file of lines from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def read(self, final: bool) -> Iterator[bytes]:
        """Whole lines; what has no end yet waits, unless it is ``final`` or longer than a line may be."""
        while chunk := chunk_at(self._path, self._offset):
            whole = len(chunk) if final or len(chunk) > LINE_BYTES else 0
            whole = chunk.rfind(b"\n") + 1 or whole
            if not whole:
                return
            self._offset += whole
            yield chunk[:whole]


class _Snapshots:
    """What changes in ``out/``, for the host.

    Args:
        out: the folder.
        sent: what the host has, as ``listing`` gives it.
    """

    def __init__(self, out: Path, sent: Mapping[str, tuple[int, int, int]]) -> None:
        self._out = out
        self._sent = dict(sent)
        self._links = out.parent / "links"

    def take(self) -> Iterator[Dispatch]:
        """The files as they are now, those that the host has not yet in pieces.

        They are linked first: files are replaced rather than rewritten, so the job may go on meanwhile.
        """
        now = self._link()
        changed = [name for name in now if self._sent.get(name) != now[name]]
        yield Announced(files=tuple(now))
        for piece in pieces(pack_files(self._links, changed)):
            yield Piece(piece, last=False)
        yield Piece(b"", last=True)
        shutil.rmtree(self._links, ignore_errors=True)
        self._sent = now

    def _link(self) -> dict[str, tuple[int, int, int]]:
        for _ in range(LINKS):
            shutil.rmtree(self._links, ignore_errors=True)
            self._links.mkdir()
            found = listing(self._out, APART)
            now = {name: mark for name, mark in found.items() if not name.endswith(".partial")}
            missed = [name for name in now if self._sent.get(name) != now[name] and not self._linked(name)]
            if not missed:
                return now
        return {name: mark for name, mark in now.items() if name not in missed}

    def _linked(self, name: str) -> bool:
        target = self._links / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._out / name, target)
        except FileNotFoundError:
            return False
        except OSError:  # a file system without links
            shutil.copyfile(self._out / name, target)
        return True


def describe() -> dict[str, str]:
    """What this node isolates, for ``facts``, and its ``code``; the body of a Ray task."""
    return {**ProcessSandbox(ProcessConfig(fork_server=False)).facts(), "code": code_digest()}


def salvage(place: str, size: int, digest: str) -> Iterator[Dispatch]:
    """What is left of an attempt whose host has died; the body of a Ray task. Makes sure first that it runs no more.

    Args:
        place: the attempt's folder on this node.
        size: bytes of the host's ``events.jsonl``.
        digest: SHA-256 of the same. More events are given only if those are the first.
    """
    folder = Path(place)
    if not (folder / "spec.json").is_file():
        return
    try:
        job = Job(job_spec.validate_json((folder / "spec.json").read_bytes()), folder, folder)
        ended = ProcessSandbox().recover(job)
        events = job.out / "events.jsonl"
        content = events.read_bytes() if events.exists() else b""
        if hashlib.sha256(content[:size]).hexdigest() == digest and len(content) > size:
            yield Grown(content[size:])
        yield from _Snapshots(job.out, {}).take()
        if ended:
            yield Ended(ended.model_dump())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
