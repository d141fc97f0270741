"""What holds for every test."""

from __future__ import annotations

import os

import pytest

# Before torch is imported: on models as small as the tests', a second thread costs more than it does.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A worker of pytest-xdist is told a width, which our own terminal output would take for the person's.
os.environ.pop("COLUMNS", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share a worker and so their fixtures; what uses the one Docker Engine does too."""
    for item in items:
        group = "docker" if item.get_closest_marker("docker") else item.location[0]
        item.add_marker(pytest.mark.xdist_group(group))
