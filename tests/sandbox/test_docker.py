"""The docker sandbox against a real Engine: conformance in two kinds of image, and what is its own."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.sandbox import (
    JOBS,
    SandboxConformance,
    ScriptedJob,
    Workshop,
    facts,
    finish,
    host,
    workshop,
)

from tunewright.domain.errors import SandboxError, UsageError
from tunewright.domain.protocols import Sandbox
from tunewright.sandbox.container import LABEL, connect
from tunewright.sandbox.docker import DockerConfig, DockerSandbox
from tunewright.sandbox.image import bare_image, built_image

__all__ = ["workshop"]
pytestmark = pytest.mark.docker
BASE = "tunewright-base:bookworm"
"""Made by .ci/docker, from no registry."""


@pytest.fixture
def box() -> Iterator[DockerSandbox]:
    with DockerSandbox() as sandbox:
        yield sandbox


def containers_of(folder: Path) -> list[str]:
    client = connect()
    found = client.containers.list(all=True, filters={"label": f"{LABEL}folder={folder}"})
    return [str(container.status) for container in found]


class TestHostEnvironment(SandboxConformance):
    same_processes = False

    @pytest.fixture
    def backend(self, box: DockerSandbox) -> Sandbox:
        return box


def test_all_but_out_is_read_only_and_the_user_is_nobody(box: DockerSandbox, workshop: Workshop) -> None:
    job = workshop.job("trespass")
    events, ended = finish(box.start(job))
    assert ended.code == 0, ended.message
    assert facts(events) == {"written": []}
    assert (job.out / "mine").read_text() == "allowed"
    events, _ = finish(box.start(workshop.job("look_around", "who")))
    assert facts(events)["uid"] == (os.getuid() or 65534)


def test_a_container_is_labelled_confined_and_removed(box: DockerSandbox, workshop: Workshop) -> None:
    job = workshop.job("obedient", limits={"threads": 1, "pids": 40, "memory_gib": 0.5})
    handle = box.start(job)
    (container,) = connect().containers.list(filters={"label": f"{LABEL}folder={job.folder}"})
    host = container.attrs["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 2**29
    assert host["NanoCpus"] == 10**9
    assert host["PidsLimit"] == 56
    assert host["LogConfig"]["Config"]["max-size"]
    assert {"study", "job", "folder", "owner"} == {name.removeprefix(LABEL) for name in container.labels}
    handle.kill()
    assert containers_of(job.folder) == []


def test_a_job_is_shown_nothing_else_of_the_study(
    box: DockerSandbox, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A directory on PYTHONPATH that holds the study is not mounted: it would show the sealed test."""
    (tmp_path / "sealed").mkdir()
    (tmp_path / "sealed" / "test.jsonl").write_text("secret")
    (tmp_path / "tunewright_scripted_job").symlink_to(JOBS / "tunewright_scripted_job")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _, ended = finish(box.start(workshop.job("finish")))
    assert ended.code == 1
    assert "tunewright_scripted_job" in ended.message


def test_a_model_of_links_is_followed(box: DockerSandbox, workshop: Workshop, tmp_path: Path) -> None:
    blobs = tmp_path / "hub" / "blobs"
    snapshot = tmp_path / "hub" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "f00").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/f00")
    job = workshop.job("look_around")
    events, ended = finish(box.start(ScriptedJob(spec=job.spec, folder=job.folder, model=snapshot)))
    assert ended.code == 0, ended.message
    assert facts(events)["model"] == ["config.json"]


@pytest.mark.skipif(os.getuid() != 0, reason="the container's user is the caller, who can read their own files")
def test_a_model_that_nobody_may_read_is_named(box: DockerSandbox, workshop: Workshop) -> None:
    (workshop.model / "config.json").chmod(0o600)
    with pytest.raises(SandboxError, match=r"could not read .*config\.json"):
        box.start(workshop.job("finish"))
    assert containers_of(workshop.model) == []


def test_gpus_without_a_runtime_are_refused(box: DockerSandbox, workshop: Workshop) -> None:
    if "nvidia" in connect().info()["Runtimes"]:
        pytest.skip("this Engine has an nvidia runtime")
    with pytest.raises(UsageError, match="no nvidia runtime"):
        box.start(workshop.job("finish", limits={"gpus": 1}))


def test_no_engine_is_one_line_with_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxError, match="could not reach a Docker Engine") as caught, DockerSandbox():
        pass
    assert "\n" not in caught.value.message
    assert "--sandbox process" in caught.value.hint


def test_an_image_that_is_nowhere_says_what_to_do() -> None:
    with pytest.raises(SandboxError, match="no image 'tunewright-none:such'") as caught:
        DockerSandbox(DockerConfig(image="tunewright-none:such")).__enter__()
    assert "without the options" in caught.value.hint


def test_an_image_without_our_package_says_so(workshop: Workshop) -> None:
    job = workshop.job("finish")
    image = str(bare_image(connect()).id)
    with DockerSandbox(DockerConfig(image=image)) as sandbox, pytest.raises(SandboxError, match="start"):
        sandbox.start(job)
    assert containers_of(job.folder) == []


def test_the_image_digest_is_stable_and_of_the_environment(box: DockerSandbox) -> None:
    with DockerSandbox() as again:
        assert again.facts()["image"] == box.facts()["image"]
    assert box.facts()["image"].startswith("sha256:")


def test_a_container_does_not_survive_a_killed_host(workshop: Workshop) -> None:
    job = workshop.job("stubborn")
    process = host(job, "docker", says="'running'")
    assert process.stdout
    assert process.stdout.readline() == b"running\n"
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while containers_of(job.folder) != ["exited"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert containers_of(job.folder) == ["exited"]
    with DockerSandbox() as later:
        assert containers_of(job.folder) == [], "the reaper left it"
        ended = later.recover(job)
    assert ended is not None
    assert ended.signal == 9
    assert "the process that ran the study ended" in ended.message


def test_recover_ends_a_container_that_still_runs(box: DockerSandbox, workshop: Workshop) -> None:
    job = workshop.job("stubborn")
    box.start(job)
    container = connect().containers.list(filters={"label": f"{LABEL}folder={job.folder}"})[0]
    container.pause()  # its keeper hears nothing
    with DockerSandbox() as later:
        assert containers_of(job.folder) == ["paused"], "its owner lives: not the reaper's"
        ended = later.recover(job)
    assert ended is not None
    assert ended.code is None or ended.code == 137
    assert containers_of(job.folder) == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Our Dockerfile, built on a base from no registry and with nothing to install, so that no package index is
    needed; then the scripted job on top of it."""
    client = connect()
    if not client.images.list(BASE):
        pytest.skip(f"no image {BASE}: bash .ci/docker makes it")
    context = tmp_path_factory.mktemp("image")
    nothing = context / "requirements.txt"
    nothing.write_text("")
    ours = built_image(client, BASE, nothing)
    shutil.copytree(JOBS, context / "jobs")
    (context / "Dockerfile").write_text(f"FROM {ours.id}\nCOPY jobs /opt/source\n")
    return str(client.images.build(path=str(context), rm=True)[0].id)


def test_the_image_of_our_dockerfile_runs_a_job(built: str, workshop: Workshop) -> None:
    with DockerSandbox(DockerConfig(image=built)) as sandbox:
        assert sandbox.facts()["image"] == built
        events, ended = finish(sandbox.start(workshop.job("look_around", limits={"threads": 2})))
        assert ended.code == 0, ended.message
        seen = facts(events)
        assert seen["uid"] == (os.getuid() or 65534)
        assert seen["environment"]["PATH"].startswith("/opt/trial/bin")
        assert "PYTHONPATH" not in seen["environment"]
        assert seen["environment"]["OMP_NUM_THREADS"] == "2"
        events, _ = finish(sandbox.start(workshop.job("trespass", "t")))
        assert facts(events) == {"written": []}


def test_a_base_and_a_mounted_host_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="leave out image and host-env"):
        DockerConfig(base=BASE, host_env=True)
    with pytest.raises(SandboxError, match="no image 'tunewright-none:such'"):
        DockerSandbox(DockerConfig(base="tunewright-none:such")).__enter__()
