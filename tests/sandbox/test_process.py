"""The process sandbox: conformance with the fork server and without, and what is its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from tests.conformance.sandbox import (
    PATIENCE_S,
    SandboxConformance,
    Workshop,
    facts,
    finish,
    gone,
    host,
    until,
    workshop,
)

from tunewright.domain.errors import SandboxError, UsageError
from tunewright.domain.protocols import Sandbox
from tunewright.sandbox.process import ProcessConfig, ProcessSandbox
from tunewright.sandbox.record import Record

__all__ = ["workshop"]

COLD = ProcessConfig(fork_server=False)


class TestCold(SandboxConformance):
    @pytest.fixture
    def backend(self) -> Iterator[Sandbox]:
        with ProcessSandbox(COLD) as sandbox:
            yield sandbox


class TestWarm(SandboxConformance):
    @pytest.fixture
    def backend(self) -> Iterator[Sandbox]:
        with ProcessSandbox(preload=("pydantic",)) as sandbox:
            yield sandbox


@pytest.fixture
def warm() -> Iterator[ProcessSandbox]:
    with ProcessSandbox(preload=("pydantic",)) as sandbox:
        yield sandbox


def test_warm_jobs_have_the_preloaded_modules_and_a_fresh_life(warm: ProcessSandbox, workshop: Workshop) -> None:
    first, second = (facts(finish(warm.start(workshop.job("look_around", name)))[0]) for name in ("a", "b"))
    assert "pydantic" in first["modules"]
    assert first["cwd"] != second["cwd"]
    assert first["environment"]["HOME"] != second["environment"]["HOME"]


def test_warm_and_cold_jobs_see_the_same_world(warm: ProcessSandbox, workshop: Workshop) -> None:
    forked = facts(finish(warm.start(workshop.job("look_around", "same")))[0])
    with ProcessSandbox(COLD) as cold:
        started = facts(finish(cold.start(workshop.job("look_around", "same")))[0])
    for what in ("environment", "argv", "cwd", "uid"):
        assert forked[what] == started[what]


def test_another_thread_count_gets_another_server(warm: ProcessSandbox, workshop: Workshop) -> None:
    for threads in (1, 2):
        seen = facts(finish(warm.start(workshop.job("look_around", f"t{threads}", {"threads": threads})))[0])
        assert seen["environment"]["OPENBLAS_NUM_THREADS"] == str(threads)


def test_a_dead_fork_server_is_replaced_and_its_jobs_live_on(warm: ProcessSandbox, workshop: Workshop) -> None:
    job = warm.start(workshop.job("obedient", "a"))
    (server,) = warm._servers
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    assert finish(warm.start(workshop.job("finish", "b")))[1].code == 0
    assert job.wait(0) is None
    job.ask_to_stop()
    assert finish(job)[1].code in (10, None)


def test_a_killed_keeper_takes_its_job_along(warm: ProcessSandbox, workshop: Workshop) -> None:
    job = workshop.job("parent", stay=True)
    handle = warm.start(job)
    seen = facts([until(handle.events(PATIENCE_S), lambda event: event.kind == "noted")])
    keeper = Record.of(job.folder).keeper()
    assert keeper
    keeper.kill()
    _, ended = finish(handle)
    assert ended.signal == 9
    assert "keeper" in ended.message
    assert gone(seen["pid"], 1)


def test_a_module_that_cannot_be_preloaded_is_named(workshop: Workshop) -> None:
    with ProcessSandbox(preload=("no_such_library",)) as sandbox:
        with pytest.raises(SandboxError, match="no_such_library"):
            sandbox.start(workshop.job("finish"))
        assert not sandbox._running


def test_leaving_the_sandbox_ends_its_jobs(workshop: Workshop) -> None:
    with ProcessSandbox(preload=("pydantic",)) as sandbox:
        handle = sandbox.start(workshop.job("parent", stay=True))
        seen = facts([until(handle.events(PATIENCE_S), lambda event: event.kind == "noted")])
        (server,) = sandbox._servers
        server_pid = server.pid
    assert server_pid
    assert all(gone(pid, 1) for pid in (seen["pid"], seen["grandchild"], server_pid))


@pytest.mark.parametrize("fork_server", [True, False])
def test_nothing_survives_a_killed_host_and_the_end_is_found(workshop: Workshop, fork_server: bool) -> None:
    job = workshop.job("parent", stay=True)
    process = host(job, "process", {"fork-server": str(fork_server)}, says="sandbox._servers[0].pid, event.message")
    assert process.stdout
    server, _, said = process.stdout.readline().decode().partition(" ")
    seen = json.loads(said)
    process.kill()
    process.wait()
    assert all(gone(pid) for pid in (seen["pid"], seen["grandchild"], int(server)))
    with ProcessSandbox() as later:
        ended = later.recover(job)
    assert ended is not None
    assert ended.signal == 9
    assert "the process that ran the study ended" in ended.message
    assert Record.of(job.folder).keeper() is None


def test_recover_tells_a_job_that_ended_while_nobody_looked(warm: ProcessSandbox, workshop: Workshop) -> None:
    job = workshop.job("finish", code=22)
    finish(warm.start(job))
    with ProcessSandbox() as later:
        ended = later.recover(job)
    assert ended is not None
    assert ended.code == 22


def test_a_record_of_an_earlier_boot_kills_no_stranger(workshop: Workshop) -> None:
    job = workshop.job("finish")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        said = f"another-boot/1/{stranger.pid}/123"
        (job.folder / "running.json").write_text(json.dumps({"process": said}))
        with ProcessSandbox() as sandbox:
            assert sandbox.recover(job) is None
        assert stranger.poll() is None
        stranger.kill()


def test_memory_of_children_counts(warm: ProcessSandbox, workshop: Workshop) -> None:
    _, ended = finish(warm.start(workshop.job("hog_in_a_child", limits={"memory_gib": 0.3})))
    assert ended.out_of_memory
    assert "0.30 GiB" in ended.message


def test_a_crowd_of_threads_is_killed(warm: ProcessSandbox, workshop: Workshop) -> None:
    _, ended = finish(warm.start(workshop.job("crowd", limits={"pids": 50}, threads=100)))
    assert "50 allowed" in ended.message


def test_gpus_that_are_not_there_are_refused(
    warm: ProcessSandbox, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError, match="2 GPUs asked for, none found"):
        warm.start(workshop.job("finish", limits={"gpus": 2}))


def test_gpus_are_given_to_one_job_at_a_time(
    warm: ProcessSandbox, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    first = warm.start(workshop.job("obedient", "a", {"gpus": 1}))
    events, _ = finish(warm.start(workshop.job("look_around", "b", {"gpus": 1})))
    assert facts(events)["environment"]["CUDA_VISIBLE_DEVICES"] == "5"
    with pytest.raises(SandboxError, match="2 GPUs asked for, 1 of 2 free"):
        warm.start(workshop.job("finish", "c", {"gpus": 2}))
    first.kill()
    assert finish(warm.start(workshop.job("finish", "d", {"gpus": 2})))[1].code == 0
