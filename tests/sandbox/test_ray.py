"""The ray sandbox on a real cluster of several nodes on this machine: conformance, and what is its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.conformance.sandbox import JOBS, PATIENCE_S, SandboxConformance, Workshop, facts, finish, until, workshop

from tunewright.domain.protocols import Sandbox
from tunewright.sandbox.cluster import LOOPBACK
from tunewright.sandbox.ray import RayConfig, RaySandbox

ray = pytest.importorskip("ray", reason='pip install "tunewright[ray]"')
cluster_utils = pytest.importorskip("ray.cluster_utils")
__all__ = ["workshop"]

NODE = {
    "num_cpus": 2,
    "memory": 4 * 2**30,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "node_ip_address": LOOPBACK,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[cluster_utils.Cluster]:
    """A head that runs no jobs and a node that does; this process is the driver."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(JOBS), os.environ.get("PYTHONPATH")))))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
        try:
            made.add_node(**NODE)
            with RaySandbox(RayConfig(address=made.address)):
                yield made
        finally:
            ray.shutdown()
            made.shutdown()


class TestConformance(SandboxConformance):
    @pytest.fixture(scope="class")
    def backend(self, cluster: cluster_utils.Cluster) -> Iterator[Sandbox]:
        with RaySandbox() as sandbox:
            yield sandbox
