"""The sandboxes that hostile trials are run in, and a lab in each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.redteam.lab import Lab, engine

from tunewright.domain.protocols import Sandbox
from tunewright.sandbox.docker import DockerSandbox
from tunewright.sandbox.process import ProcessSandbox

JOBS = Path(__file__).parent / "jobs"
SECRET = "sk-test-redteam-0a1b2c3d"
"""In the environment of the host while hostile code runs."""


@pytest.fixture(scope="package")
def hostile_path() -> Iterator[None]:
    """Puts the hostile code where jobs find it, and a secret where they should not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(JOBS), os.environ.get("PYTHONPATH")))))
        patch.setenv("SOME_API_KEY", SECRET)
        yield


@pytest.fixture(scope="package")
def process(hostile_path: None) -> Iterator[Sandbox]:
    with ProcessSandbox(preload=("pydantic",)) as sandbox:
        yield sandbox


@pytest.fixture(scope="package")
def container(hostile_path: None) -> Iterator[Sandbox]:
    why = engine()
    if why:
        pytest.skip(why)
    with DockerSandbox() as sandbox:
        yield sandbox


@pytest.fixture(params=["process", pytest.param("container", marks=pytest.mark.docker)])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """In each sandbox of this machine."""
    with Lab(tmp_path, request.getfixturevalue(request.param)) as made:
        yield made


@pytest.fixture
def exposed(process: Sandbox, tmp_path: Path) -> Iterator[Lab]:
    """In the process sandbox, where a trial can write what its user can."""
    with Lab(tmp_path, process) as made:
        yield made


@pytest.fixture
def enclosed(container: Sandbox, tmp_path: Path) -> Iterator[Lab]:
    """In the docker sandbox, which is a boundary."""
    with Lab(tmp_path, container) as made:
        yield made
