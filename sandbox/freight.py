"""What travels between the host and the node that runs a job: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parcel:
    """A file or folder in the cluster's object store."""

    digest: str
    """SHA-256 of the packed stream: what a node keeps it under."""
    pieces: tuple[Any, ...]
    """References to the stream's pieces, in order."""


@dataclass(frozen=True)
class Freight:
    """One attempt at a job, host to node."""

    token: str
    """Names the attempt; also the name of its folder on the node."""
    spec: str
    """``spec.json``, to the letter."""
    module: str
    model: Parcel
    inputs: Mapping[str, Parcel]
    """Name in ``in/`` -> content."""
    state: tuple[Any, ...]
    """References to the pieces of what earlier attempts left in ``out/``."""
    code: str
    """Digest of our own package, which has to be the node's as well."""
    packages: Mapping[str, str]
    """Versions that can change a number, as the specification has them."""
    folder: str | None
    """Where nodes keep things; None for their temporary directory."""


@dataclass(frozen=True)
class Placed:
    """Node to host: the attempt has a node, which has all that it needs."""

    node: str
    place: str
    """The attempt's folder there."""
    fetched: tuple[str, ...]
    """Digests that the node did not have before."""


@dataclass(frozen=True)
class Started:
    """The job runs."""


@dataclass(frozen=True)
class Grown:
    """What was added to ``events.jsonl``; whole lines, but for the last of all."""

    lines: bytes


@dataclass(frozen=True)
class Announced:
    """A snapshot of ``out/`` follows in pieces."""

    files: tuple[str, ...]
    """All that ``out/`` holds; those of them that have changed are in the pieces."""


@dataclass(frozen=True)
class Piece:
    """A part of the announced snapshot."""

    content: bytes
    last: bool


@dataclass(frozen=True)
class Ended:
    """How the job ended; the last word of an attempt."""

    exit: Mapping[str, Any]


Dispatch = Placed | Started | Grown | Announced | Piece | Ended
