"""The tiny model, one thread, and candidates to label."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits

from tunewright.tools.models.resolve import Found, resolve


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return resolve("tiny", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small are faster without threads, most of all beside other work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)
