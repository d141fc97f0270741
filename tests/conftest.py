"""What holds for every test, and what takes seconds to make and is made once for all."""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tunewright.tools.models.resolve import Found, resolve
from tunewright.tracking.database import empty_database

# Before torch is imported: on models as small as the tests', a second thread costs more than it does.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A worker of pytest-xdist is told a width, which our own terminal output would take for the person's.
os.environ.pop("COLUMNS", None)


LONG = ("tests/app/", "tests/redteam/", "tests/sandbox/")
"""Where a single test may take a minute."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Without the garbage collector: nearly all that is made stays, and looking through it takes 8 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share a worker and so their fixtures; what uses the one Docker Engine does too. Long ones begin,
    so that no worker is left with one when the others have nothing to do."""
    items.sort(key=lambda item: not item.location[0].startswith(LONG))
    for item in items:
        group = "docker" if item.get_closest_marker("docker") else item.location[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True, scope="module")
def old_is_settled() -> None:
    """Takes what is alive when a file's tests begin out of the sight of Python's garbage collector. A training asks it
    three times to look through everything, which for a worker that holds all tests and libraries is 0.6 s each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``TUNEWRIGHT_CACHE`` that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tiny(cache: Path) -> Found:
    """The tiny model, in the cache. Nobody writes to it."""
    with _one_at_a_time(cache):
        return resolve("tiny", cache=cache)


@pytest.fixture(scope="session")
def migrated(cache: Path) -> Path:
    """An empty database of MLflow's newest schema, in the cache, to be copied."""
    with _one_at_a_time(cache):
        return empty_database(cache)


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Lets a worker wait for what another one makes, where it would else make it too."""
    with cache.with_name("cache.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
