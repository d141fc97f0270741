"""Reads the header of a safetensors file without torch: names, types, shapes and where the bytes lie.

The format: eight bytes little-endian length, that many bytes of JSON, then the tensors' bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from tunewright.domain.errors import ModelError

_LONGEST_HEADER = 100_000_000


class Tensor(NamedTuple):
    """One tensor's entry. ``start`` and ``end`` are offsets in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> list[Tensor]:
    """The tensors of one file, sorted by name.

    Raises:
        ModelError: the file is no safetensors file, or is cut short.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= _LONGEST_HEADER:
                raise ValueError("no header length")
            header = json.loads(stream.read(length))
        tensors = [
            Tensor(name, str(entry["dtype"]), tuple(entry["shape"]), *(8 + length + at for at in entry["data_offsets"]))
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"'{path.name}' is not a readable safetensors file: {error}", "fetch the model again"
        ) from error
    if max((tensor.end for tensor in tensors), default=0) > path.stat().st_size:
        raise ModelError(f"'{path.name}' is cut short", "fetch the model again")
    return sorted(tensors)
