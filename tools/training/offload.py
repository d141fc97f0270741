"""What the backward pass needs, kept elsewhere until it is needed: a GPU's in the machine's memory, a CPU's on disk.

A tensor comes back with the bytes, the shape and the strides that it had, so no number changes. On a GPU this is
TRL's ``OffloadActivations``, which moves while the GPU computes. On a CPU it is ours: tensors that share a storage are
written once, into one file without a name, which is written anew from its beginning when nothing in it is needed.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

LEAST_BYTES = 4096
"""Storages below it stay where they are."""

Keeping = AbstractContextManager[Any]
"""Entered anew for every forward pass and left after its backward pass."""


@contextmanager
def offloading(model: Any, device: str, folder: Path, *, on: bool) -> Iterator[Keeping]:
    """Gives what keeps the tensors of a forward pass; does nothing unless ``on``.

    Args:
        device: ``cpu`` or ``cuda``.
        folder: of a file system with room for the activations.
    """
    if not on:
        yield nullcontext()
    elif device == "cpu":
        with tempfile.TemporaryFile(dir=folder) as file:
            disk = Disk(model, file.fileno())
            yield torch.autograd.graph.saved_tensors_hooks(disk.put, disk.get)
    else:
        from trl.models.activation_offloading import OffloadActivations

        keeping = OffloadActivations()
        keeping.update_model_params(model)
        yield keeping


@dataclass(frozen=True, eq=False)
class Place:
    """Where a storage lies in the file."""

    start: int
    size: int


@dataclass(frozen=True)
class View:
    """A tensor as it lies in its storage."""

    place: Place
    dtype: torch.dtype
    offset: int
    size: torch.Size
    strides: tuple[int, ...]


class Disk:
    """A file of storages. What the model owns is not put into it.

    Args:
        file: a descriptor, open for reading and writing.
    """

    def __init__(self, model: Any, file: int) -> None:
        self._file, self._end, self._needed = file, 0, 0
        self._owned = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
        self._written: dict[int, tuple[StorageWeakRef, int, weakref.ref[Place]]] = {}
        """Identity of a storage -> a reference that tells whether it is still that one, its version, its place while
        that is needed."""

    def put(self, tensor: torch.Tensor) -> torch.Tensor | View:
        """What is kept instead of the tensor: itself if it is small, or the model's."""
        if tensor.device.type != "cpu" or tensor.layout != torch.strided or type(tensor) is not torch.Tensor:
            return tensor
        storage = tensor.untyped_storage()
        if storage.nbytes() < LEAST_BYTES or storage.data_ptr() in self._owned:
            return tensor
        place = self._place(storage, tensor._version)
        return View(place, tensor.dtype, tensor.storage_offset(), tensor.size(), tensor.stride())

    def get(self, kept: torch.Tensor | View) -> torch.Tensor:
        """The tensor again."""
        if isinstance(kept, torch.Tensor):
            return kept
        held = torch.empty(kept.place.size, dtype=torch.uint8)
        self._read(held, kept.place.start)
        empty = torch.empty(0, dtype=kept.dtype)
        return empty.set_(held.untyped_storage(), kept.offset, kept.size, kept.strides)

    def _place(self, storage: torch.UntypedStorage, version: int) -> Place:
        before = self._before(storage, version)
        if before is not None:
            return before
        if not self._needed:
            self._end = 0
            self._written.clear()
        place = Place(self._end, storage.nbytes())
        self._write(torch.empty(0, dtype=torch.uint8).set_(storage), place.start)
        self._end += place.size
        self._needed += 1
        weakref.finalize(place, self._forget)
        self._written[storage._cdata] = (StorageWeakRef(storage), version, weakref.ref(place))
        return place

    def _before(self, storage: torch.UntypedStorage, version: int) -> Place | None:
        """Where this storage lies already, as it is now."""
        if storage._cdata not in self._written:
            return None
        reference, written, place = self._written[storage._cdata]
        return place() if not reference.expired() and written == version else None

    def _forget(self) -> None:
        self._needed -= 1

    def _write(self, held: torch.Tensor, start: int) -> None:
        left = memoryview(held.numpy())
        while left:
            done = os.pwrite(self._file, left, start)
            left, start = left[done:], start + done

    def _read(self, held: torch.Tensor, start: int) -> None:
        left = memoryview(held.numpy())
        while left:
            done = os.preadv(self._file, [left], start)
            if not done:
                raise OSError("activations that were written to disk are not there any more")
            left, start = left[done:], start + done
