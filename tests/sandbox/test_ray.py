"""The ray sandbox on a real cluster of several nodes on this machine: conformance, and what is its own."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.sandbox import (
    PATIENCE_S,
    SandboxConformance,
    Workshop,
    facts,
    finish,
    gone,
    host,
    show_jobs,
    until,
    workshop,
)
from tests.sandbox.test_training import Make, make, same, train

from tunewright.domain.errors import SandboxError, UsageError
from tunewright.domain.outcome import JobResult
from tunewright.domain.protocols import Sandbox
from tunewright.domain.trial_event import Checkpointed, Measured, Noted, Progressed, Started, TrialEvent
from tunewright.sandbox.cluster import LOOPBACK, connect
from tunewright.sandbox.freight import Announced, Ended, Freight, Grown, Placed
from tunewright.sandbox.ray import PLACED, RayConfig, RaySandbox
from tunewright.sandbox.sameness import code_digest, require_same
from tunewright.sandbox.site import perform, salvage

ray = pytest.importorskip("ray", reason='pip install "tunewright[ray]"')
cluster_utils = pytest.importorskip("ray.cluster_utils")
__all__ = ["make", "workshop"]

NODE = {
    "num_cpus": 2,
    "memory": 4 * 2**30,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "node_ip_address": LOOPBACK,
}
WATCHFUL = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""A node's end is noticed in seconds, not in half a minute."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[cluster_utils.Cluster]:
    """A head that runs no jobs and a node that does; this process is joined to it."""
    head = {**NODE, "num_cpus": 0, "_system_config": WATCHFUL}
    with pytest.MonkeyPatch.context() as patch:
        show_jobs(patch)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # whether this user has a token is nothing to the tests
        patch.delenv("RAY_ADDRESS", raising=False)
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            made.add_node(**NODE)
            connection = connect(made.address)
            yield made
            connection.close()
        finally:
            made.shutdown()


@pytest.fixture(scope="module")
def box(cluster: cluster_utils.Cluster) -> Iterator[RaySandbox]:
    with RaySandbox() as sandbox:
        yield sandbox


class TestConformance(SandboxConformance):
    @pytest.fixture
    def backend(self, box: RaySandbox) -> Sandbox:
        return box


def steps(events: list[TrialEvent]) -> list[int]:
    return [event.step for event in events if isinstance(event, Progressed)]


def rungs(events: list[TrialEvent]) -> list[int]:
    return [event.measurement.step for event in events if isinstance(event, Measured)]


def outcome(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "sum.json").read_text())
    return found


def lose(cluster: cluster_utils.Cluster, node: str) -> None:
    """The node's process is killed, as by a power cut."""
    (victim,) = (one for one in cluster.worker_nodes if one.node_id == node)
    cluster.remove_node(victim, allow_graceful=False)


def where(folder: Path) -> str:
    return str(json.loads((folder / PLACED).read_text())["node"])


def test_jobs_of_several_threads_share_what_a_node_has_fetched(box: RaySandbox, workshop: Workshop) -> None:
    (workshop.model / "weights.bin").write_bytes(os.urandom(9 << 20))
    (workshop.model / "of" / "parts").mkdir(parents=True)
    (workshop.model / "of" / "parts" / "a").write_text("a")
    jobs = [workshop.job("look_around", name, seen="nowhere else") for name in ("a", "b", "c")]
    before, ended = len(box.fetched), []
    threads = [threading.Thread(target=lambda job=job: ended.append(finish(box.start(job)))) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [one.code for _, one in ended] == [0, 0, 0]
    assert all(facts(events)["model"] == ["config.json", "of", "weights.bin"] for events, _ in ended)
    fetched = box.fetched[before:]
    assert len(fetched) == len(set(fetched)) == 2, "one model, and one input that all three have"


def test_a_stopped_job_brings_its_checkpoint_back_and_goes_on_from_it(box: RaySandbox, workshop: Workshop) -> None:
    job = workshop.job("climb", steps=30, every=4, pause_s=0.05, hold_at=22)
    handle = box.start(job)
    first = [until(handle.events(PATIENCE_S), lambda event: isinstance(event, Checkpointed))]
    (kept,) = (job.out / "checkpoint").iterdir()
    assert json.loads(kept.read_text())["step"] >= 4, "the word of a checkpoint came before the checkpoint"
    handle.ask_to_stop()
    rest, ended = finish(handle)
    assert ended.code == 10
    first += rest
    (kept,) = (job.out / "checkpoint").iterdir()
    stopped = json.loads(kept.read_text())
    assert 4 <= stopped["step"] < 30
    events, ended = finish(box.start(job))
    assert ended.code == 0
    assert steps(first)[-1] == stopped["step"]
    assert steps(events) == list(range(stopped["step"] + 1, 31))
    assert outcome(job.folder) == {"step": 30, "sum": sum(range(30))}
    assert not (job.folder / PLACED).exists()


def test_a_lost_node_costs_what_was_done_since_the_checkpoint(
    cluster: cluster_utils.Cluster, box: RaySandbox, workshop: Workshop
) -> None:
    cluster.add_node(**NODE)
    job = workshop.job("climb", steps=40, every=8, pause_s=0.05, hold_at=21)
    handle = box.start(job)
    seen: list[TrialEvent] = []
    for event in handle.events(PATIENCE_S):
        seen.append(event)
        if isinstance(event, Progressed) and event.step == 19:
            lose(cluster, where(job.folder))
            break
    rest, ended = finish(handle)
    seen += rest
    assert ended.code == 0, ended.message
    assert [event.resumed_from for event in seen if isinstance(event, Started)] == [0, 16]
    assert steps(seen) == list(range(1, 41)), "a step was told twice, or not at all"
    assert rungs(seen) == [8, 16, 24, 32, 40]
    assert any(isinstance(event, Noted) and "was lost" in event.message for event in seen)
    assert outcome(job.folder) == {"step": 40, "sum": sum(range(40))}
    lines = [json.loads(line) for line in (job.out / "events.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "progressed"] == list(range(1, 41))


def test_a_training_that_lost_its_node_gives_the_same_bits(
    cluster: cluster_utils.Cluster, box: RaySandbox, make: Make
) -> None:
    reference = train(box, make("undisturbed", steps=160))
    cluster.add_node(**NODE)
    job = make("disturbed", steps=160)
    handle = box.start(job)
    for event in handle.events(240):
        if isinstance(event, Checkpointed):
            lose(cluster, where(job.folder))
            break
    events = list(handle.events(240))
    ended = handle.wait(30)
    assert ended is not None
    assert ended.code == 0, ended.message
    assert [event.resumed_from for event in events if isinstance(event, Started)] == [4]
    assert same(JobResult.model_validate_json((job.out / "result.json").read_bytes()), reference)


def test_no_other_node_is_a_fault_of_the_machine(
    cluster: cluster_utils.Cluster, box: RaySandbox, workshop: Workshop
) -> None:
    extra = cluster.add_node(**{**NODE, "num_cpus": 3, "num_gpus": 2})
    events, _ = finish(box.start(workshop.job("look_around", "g", limits={"gpus": 1})))
    assert facts(events)["environment"]["CUDA_VISIBLE_DEVICES"] in ("0", "1")
    job = workshop.job("climb", limits={"threads": 3}, steps=400, every=2, pause_s=0.05, hold_at=22)
    handle = box.start(job)
    until(handle.events(PATIENCE_S), lambda event: isinstance(event, Checkpointed))
    lose(cluster, extra.node_id)
    _, ended = finish(handle)
    assert (ended.code, ended.signal) == (None, None)
    assert "no node is left" in ended.message or "no other can go on" in ended.message
    assert list((job.out / "checkpoint").iterdir()), "what it had is kept"
    assert box.recover(job) == ended


def test_what_no_node_has_is_refused(box: RaySandbox, workshop: Workshop) -> None:
    for name, limits in (("t", {"threads": 64}), ("g", {"gpus": 1})):
        with pytest.raises(UsageError, match=r"none of \d nodes has"):
            box.start(workshop.job("finish", name, limits=limits))
    with RaySandbox(RayConfig(resources="fast_disk=1")) as other, pytest.raises(UsageError, match="1 fast_disk"):
        other.start(workshop.job("finish"))
    limited = workshop.job("finish", "m", limits={"memory_gib": 4096.0})
    assert finish(box.start(limited))[1].code == 0, "a limit is no need"


def test_a_node_with_other_code_is_refused(
    box: RaySandbox, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunewright.sandbox.ray.code_digest", lambda: "another")
    job = workshop.job("finish")
    with pytest.raises(SandboxError, match="another tunewright than the host"):
        box.start(job)
    assert not box._handles
    with pytest.raises(SandboxError, match=r"has pydantic .*, the host 0"):
        require_same(code_digest(), {"pydantic": "0"})


def test_an_address_that_cannot_be_used_says_so(
    cluster: cluster_utils.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SandboxError, match="is joined to the Ray cluster"):
        connect(f"{LOOPBACK}:1")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(SandboxError, match=f"no Ray cluster answers at {LOOPBACK}:1") as caught:
        connect(f"{LOOPBACK}:1")
    assert "ray start" in caught.value.hint
    monkeypatch.setenv("RAY_ADDRESS", f"{LOOPBACK}:1")
    with pytest.raises(SandboxError, match="no Ray cluster answers"):
        connect("auto")
    assert time.monotonic() - began < 30
    for address in ("ray://head:10001", "nonsense", "host:port"):
        with pytest.raises(UsageError, match="is no address"):
            connect(address)


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="not installed") as caught, RaySandbox():
        pass
    assert caught.value.hint == 'pip install "tunewright[ray]"'


def test_a_worker_that_is_told_to_leave_leaves_what_the_job_has_written(
    box: RaySandbox, workshop: Workshop, tmp_path: Path
) -> None:
    job = workshop.job("climb", steps=4000, every=5, pause_s=0.05)
    freight = Freight(
        token="told",
        spec=(job.folder / "spec.json").read_text(),
        module=job.module,
        model=box._shipping.parcel(workshop.model),
        inputs=box._shipping.inputs(job.folder / "in"),
        state=(),
        code=code_digest(),
        packages={},
        folder=str(tmp_path),
    )
    task = perform(freight, box._post)
    placed = next(task)
    assert isinstance(placed, Placed)
    until(task, lambda said: isinstance(said, Grown) and b"checkpointed" in said.lines)
    with pytest.raises(SystemExit):
        task.throw(SystemExit(1))  # as Ray does at SIGTERM
    left = list(salvage(placed.place, 0, hashlib.sha256(b"").hexdigest()))
    assert any(isinstance(one, Announced) and "sum.json" not in one.files and one.files for one in left)
    assert isinstance(left[-1], Ended)
    assert left[-1].exit["signal"] == 9
    assert not Path(placed.place).exists()


@pytest.mark.parametrize("address", ["joined", "local"])
def test_nothing_survives_a_killed_host_and_what_it_had_comes_back(
    cluster: cluster_utils.Cluster, box: RaySandbox, workshop: Workshop, address: str
) -> None:
    job = workshop.job("climb", steps=4000, every=5, pause_s=0.05)
    process = host(job, "ray", {"address": cluster.address if address == "joined" else "local"})
    assert process.stdout
    assert until(iter(process.stdout), lambda line: line.strip() == b"checkpointed")
    place = Path(json.loads((job.folder / PLACED).read_text())["place"])
    keeper = json.loads((place / "running.json").read_text())["process"].split("/")[2]
    process.kill()
    process.wait()
    assert gone(int(keeper), 30)
    ended = box.recover(job)
    assert ended is not None
    assert ended.signal == 9
    assert "host" in ended.message or "the process that ran the study ended" in ended.message
    assert not place.exists()
    (kept,) = (job.out / "checkpoint").iterdir()
    events = [json.loads(line) for line in (job.out / "events.jsonl").read_text().splitlines()]
    told = [event["step"] for event in events if event["kind"] == "progressed"]
    assert told == list(range(1, len(told) + 1))
    assert json.loads(kept.read_text())["step"] == max(e["step"] for e in events if e["kind"] == "checkpointed")
    assert box.recover(job) == ended
