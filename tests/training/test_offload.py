"""Activations on disk: they come back as they were, once written each, and the file does not grow without end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tunewright.tools.contract import FaultError
from tunewright.tools.training.allocator import compact
from tunewright.tools.training.offload import Disk, View, offloading

WIDE = 64


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(WIDE, WIDE), torch.nn.Tanh(), torch.nn.Dropout(0.3)] * 3
    return torch.nn.Sequential(*layers, torch.nn.Linear(WIDE, 1))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    with tempfile.TemporaryFile(dir=tmp_path) as opened:
        yield opened.fileno()


def tensor(rows: int = 100) -> torch.Tensor:
    return torch.randn(rows, WIDE, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "view",
    [lambda x: x, lambda x: x.T, lambda x: x[3:9, ::2], lambda x: x[:1].expand(50, WIDE), lambda x: x.bfloat16()],
)
def test_it_comes_back_as_it_was(model: Any, file: int, view: Any) -> None:
    given = view(tensor())
    disk = Disk(model, file)
    kept = disk.put(given)
    assert isinstance(kept, View)
    found = disk.get(kept)
    assert torch.equal(found, given) and found.dtype == given.dtype
    assert (found.stride(), found.storage_offset()) == (given.stride(), given.storage_offset())
    assert found.data_ptr() != given.data_ptr()


def test_small_tensors_and_the_models_own_stay(model: Any, file: int) -> None:
    disk = Disk(model, file)
    for one in (torch.zeros(3), model[0].weight, model[0].weight.T):
        assert disk.put(one) is one
    assert os.fstat(file).st_size == 0


def test_views_of_a_storage_are_written_once_and_again_when_it_has_changed(model: Any, file: int) -> None:
    disk, given = Disk(model, file), tensor()
    size = given.numel() * 4
    before = disk.put(given), disk.put(given.T), disk.put(given[5:])
    assert os.fstat(file).st_size == size
    old = given.clone()
    given.add_(1)
    after = disk.put(given)
    assert os.fstat(file).st_size == 2 * size
    assert torch.equal(disk.get(before[0]), old) and torch.equal(disk.get(after), given)


def test_another_storage_at_the_same_address_is_another(model: Any, file: int) -> None:
    disk, kept = Disk(model, file), []
    for number in range(20):
        kept.append(disk.put(torch.full((100, WIDE), float(number))))
    assert [float(disk.get(one)[0, 0]) for one in kept] == list(range(20))


def test_the_file_is_used_again_when_nothing_in_it_is_needed(model: Any, file: int) -> None:
    disk = Disk(model, file)
    for _ in range(5):
        kept = [disk.put(tensor() + number) for number in range(3)]
        del kept
    assert os.fstat(file).st_size == 3 * 100 * WIDE * 4


def test_gradients_are_the_same_to_the_bit(model: Any, tmp_path: Path) -> None:
    def gradients(*, on: bool) -> list[torch.Tensor]:
        torch.manual_seed(5)
        model.zero_grad()
        with offloading(model, "cpu", tmp_path, on=on) as keeping:
            for rows in (200, 70):  # what keeps is entered for each micro-batch
                with keeping:
                    model(tensor(rows)).square().sum().backward()
        return [weight.grad.clone() for weight in model.parameters()]

    plain, offloaded = gradients(on=False), gradients(on=True)
    assert all(torch.equal(one, other) for one, other in zip(plain, offloaded, strict=True))
    assert not list(tmp_path.iterdir()), "the file has no name that a crash could leave behind"


def test_compact_memory_is_for_a_cpu() -> None:
    with compact("cuda", on=False):
        pass
    with pytest.raises(FaultError, match="for a CPU and glibc"), compact("cuda", on=True):
        pass
