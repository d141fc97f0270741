"""What every sandbox must do. Subclass, give the fixture ``backend``, inherit every test."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tunewright.domain.errors import SandboxError
from tunewright.domain.job import CodeIdentity, EvaluationSpec, Job, Limits, ModelIdentity, SplitIdentity
from tunewright.domain.protocols import Exit, Handle, Sandbox
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.domain.trial_event import Checkpointed, Noted, Progressed, TrialEvent
from tunewright.sandbox.staging import stage

JOBS = Path(__file__).parent / "jobs"
"""Has to be on ``PYTHONPATH`` of the jobs."""
PATIENCE_S = 60.0
T = TypeVar("T")


@dataclass(frozen=True)
class ScriptedJob(Job):
    """A job whose module is the scripted one."""

    @property
    def module(self) -> str:
        return "tunewright_scripted_job"


class Workshop:
    """Makes jobs in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")

    def job(self, do: str, id_: str = "j0", limits: dict[str, Any] | None = None, **settings: Any) -> ScriptedJob:
        script = self._folder / f"{id_}.json"
        script.unlink(missing_ok=True)  # an earlier job's input is read-only now
        script.write_text(json.dumps({"do": do, **settings}))
        given = {"wall_s": 120, "grace_s": 20, "memory_gib": 1.0, "threads": 1, **(limits or {})}
        spec = EvaluationSpec(
            id=id_,
            study="conformance",
            task=TaskSpec(
                model="m",
                sources=(DataSource(path="d.jsonl", name="d"),),
                format="label",
                input_field="text",
                target_field="label",
                metric=Metric(name="accuracy"),
            ),
            model=ModelIdentity(ref="m", digest="0" * 64, parameters=1),
            limits=Limits(**given),
            code=CodeIdentity(version="0", digest="0" * 64),
            sandbox="any",
            split="val",
            data=SplitIdentity(digest="0" * 64, rows=1),
        )
        folder = stage(self._folder / "jobs" / id_, spec, {"script.json": script})
        return ScriptedJob(spec=spec, folder=folder, model=self.model)


def show_jobs(patch: pytest.MonkeyPatch) -> None:
    """Puts the scripted job where what is started from here finds it."""
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(JOBS), os.environ.get("PYTHONPATH")))))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    show_jobs(monkeypatch)
    return Workshop(tmp_path)


def host(
    job: ScriptedJob, sandbox: str, options: Mapping[str, str] | None = None, says: str = "event.kind"
) -> subprocess.Popen[bytes]:
    """A process that runs ``job`` in a sandbox of its own, to be killed; at each event it prints what ``says``."""
    script = f"""
        from pathlib import Path
        from tests.conformance.sandbox import ScriptedJob
        from tunewright.domain.job import job_spec
        from tunewright.sandbox.registry import open_sandbox
        folder = Path({str(job.folder)!r})
        spec = job_spec.validate_json((folder / "spec.json").read_bytes())
        with open_sandbox({sandbox!r}, {options!r}, preload=("pydantic",)) as sandbox:
            handle = sandbox.start(ScriptedJob(spec=spec, folder=folder, model=Path({str(job.model)!r})))
            for event in handle.events():
                print({says}, flush=True)
    """
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{os.environ['PYTHONPATH']}"},
    )


def finish(handle: Handle) -> tuple[list[TrialEvent], Exit]:
    """All events and the exit; fails if it takes too long."""
    events = list(handle.events(PATIENCE_S))
    ended = handle.wait(PATIENCE_S)
    assert ended is not None, f"still running after {PATIENCE_S} s; it said {events[-3:]}"
    return events, ended


def facts(events: list[TrialEvent]) -> dict[str, Any]:
    """What the scripted job noted."""
    said: dict[str, Any] = {}
    for event in events:
        if isinstance(event, Noted) and event.message.startswith("{"):
            said |= json.loads(event.message)
    return said


def until(said: Iterator[T], matches: Callable[[T], bool]) -> T:
    return next(one for one in said if matches(one))


def gone(pid: int, within_s: float = 5.0) -> bool:
    """Whether the process ends in time; a zombie has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


class SandboxConformance:
    """The ``Sandbox`` and ``Handle`` contracts, and what DESIGN section 6 asks of a sandbox."""

    same_processes = True
    """Whether the job's process ids mean something on the host."""

    @pytest.fixture
    def backend(self) -> Iterator[Sandbox]:
        """A sandbox, entered."""
        raise NotImplementedError

    @pytest.mark.parametrize("code", [0, 10, 22, 99])
    def test_ends_with_the_jobs_exit_code(self, backend: Sandbox, workshop: Workshop, code: int) -> None:
        _, ended = finish(backend.start(workshop.job("finish", code=code)))
        assert (ended.code, ended.signal, ended.out_of_memory) == (code, None, False)

    def test_events_arrive_once_and_in_order(self, backend: Sandbox, workshop: Workshop) -> None:
        handle = backend.start(workshop.job("finish", steps=200, pause_s=0.002))
        seen: list[TrialEvent] = []
        for _ in range(1000):
            seen += handle.events(0.03)
            if handle.wait(0):
                break
        seen += handle.events()
        assert [event.step for event in seen if isinstance(event, Progressed)] == list(range(200))
        assert list(handle.events()) == []

    def test_wait_gives_up_in_time_and_answers_again_after_the_end(self, backend: Sandbox, workshop: Workshop) -> None:
        handle = backend.start(workshop.job("obedient"))
        begun = time.monotonic()
        assert handle.wait(0.3) is None
        assert 0.2 < time.monotonic() - begun < 60
        handle.kill()
        first = handle.wait()
        assert first is not None
        assert handle.wait() == first

    def test_an_asked_job_writes_a_checkpoint_and_pauses(self, backend: Sandbox, workshop: Workshop) -> None:
        handle = backend.start(workshop.job("obedient"))
        until(handle.events(PATIENCE_S), lambda event: event.kind == "started")
        deadline = threading.Thread(target=handle.ask_to_stop)
        deadline.start()
        handle.ask_to_stop()
        deadline.join()
        events, ended = finish(handle)
        assert [event.step for event in events if isinstance(event, Checkpointed)] == [7]
        assert ended.code == 10
        handle.ask_to_stop()
        handle.kill()
        assert handle.wait() == ended

    def test_a_stubborn_job_is_killed_after_its_grace(self, backend: Sandbox, workshop: Workshop) -> None:
        handle = backend.start(workshop.job("stubborn", limits={"grace_s": 1.0}))
        until(handle.events(PATIENCE_S), lambda event: event.kind == "started")
        asked = time.monotonic()
        handle.ask_to_stop()
        _, ended = finish(handle)
        assert 0.9 < time.monotonic() - asked < 60
        assert (ended.code, ended.signal) == (None, 9)
        assert "killed 1 s later" in ended.message

    def test_the_wall_limit_asks_first(self, backend: Sandbox, workshop: Workshop) -> None:
        events, ended = finish(backend.start(workshop.job("obedient", limits={"wall_s": 1.0})))
        assert any(isinstance(event, Checkpointed) for event in events)
        assert ended.code == 10
        assert "limit of 1 s" in ended.message

    def test_the_wall_limit_kills_who_ignores_it(self, backend: Sandbox, workshop: Workshop) -> None:
        _, ended = finish(backend.start(workshop.job("stubborn", limits={"wall_s": 0.5, "grace_s": 0.5})))
        assert ended.signal == 9
        assert "limit of 0.5 s" in ended.message

    def test_a_memory_hog_is_out_of_memory(self, backend: Sandbox, workshop: Workshop) -> None:
        _, ended = finish(backend.start(workshop.job("hog", limits={"memory_gib": 0.3})))
        assert ended.out_of_memory
        assert ended.code is None or ended.code == 137

    def test_no_network(self, backend: Sandbox, workshop: Workshop) -> None:
        if not backend.facts()["network"].startswith("none"):
            pytest.skip(f"facts() says: {backend.facts()['network']}")
        with socket.create_server(("0.0.0.0", 0)) as listener:
            port = listener.getsockname()[1]
            addresses = [["127.0.0.1", port], ["172.17.0.1", port], ["192.0.2.1", 80]]
            events, _ = finish(backend.start(workshop.job("phone_home", addresses=addresses)))
        assert facts(events) == {"reached": []}

    def test_the_environment_is_scrubbed(
        self, backend: Sandbox, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOME_API_KEY", "secret-of-the-user")
        job = workshop.job("look_around", limits={"threads": 2})
        events, ended = finish(backend.start(job))
        assert ended.code == 0, ended.message
        seen = facts(events)
        assert "secret-of-the-user" not in json.dumps(seen["environment"])
        wanted = {"HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""}
        assert wanted.items() <= seen["environment"].items()
        assert seen["stdin"] == ""
        assert seen["model"] == ["config.json"]
        assert not (job.out / "tmp").exists(), "temporary files outlive the job"

    def test_a_flood_of_output_is_capped_and_its_end_is_told(self, backend: Sandbox, workshop: Workshop) -> None:
        job = workshop.job("flood", mib=20, limits={"log_mib": 1.0})
        _, ended = finish(backend.start(job))
        assert ended.code == 1
        assert (job.out / "log.txt").stat().st_size < 1.1 * 2**20
        assert ended.message.endswith("the end of the flood")
        assert len(ended.message) <= 2000

    def test_garbage_becomes_a_bounded_number_of_warnings(self, backend: Sandbox, workshop: Workshop) -> None:
        events, ended = finish(backend.start(workshop.job("garbage")))
        assert ended.code == 0
        assert [event.step for event in events if isinstance(event, Progressed)] == [1, 2]
        warnings = [event.message for event in events if isinstance(event, Noted) and event.level == "warning"]
        assert 5 <= len(warnings) <= 25

    def test_a_crash_brings_its_last_words(self, backend: Sandbox, workshop: Workshop) -> None:
        _, ended = finish(backend.start(workshop.job("crash")))
        assert ended.code == 1
        assert ended.message.endswith("RuntimeError: a bug of the job's own")

    def test_a_job_that_falls_is_told_by_its_signal(self, backend: Sandbox, workshop: Workshop) -> None:
        _, ended = finish(backend.start(workshop.job("fall")))
        assert (ended.code, ended.signal) == (None, 11)

    def test_too_much_on_disk_is_killed(self, backend: Sandbox, workshop: Workshop) -> None:
        _, ended = finish(backend.start(workshop.job("fill_disk", limits={"disk_gib": 0.02})))
        assert "out/ holds" in ended.message

    @pytest.mark.parametrize("stay", [True, False], ids=["killed", "ended"])
    def test_nothing_a_job_started_outlives_it(self, backend: Sandbox, workshop: Workshop, stay: bool) -> None:
        handle = backend.start(workshop.job("parent", stay=stay))
        seen = facts([until(handle.events(PATIENCE_S), lambda event: event.kind == "noted")])
        if stay:
            handle.kill()
        ended = handle.wait(PATIENCE_S)
        assert ended is not None
        assert ended.signal == (9 if stay else None)
        if self.same_processes:
            assert gone(seen["pid"], 0.5)
            assert gone(seen["grandchild"], 0.5)

    def test_a_second_attempt_reads_only_its_own_events(self, backend: Sandbox, workshop: Workshop) -> None:
        job = workshop.job("finish", steps=2)
        (job.out / "events.jsonl").write_text('{"kind": "progressed", "step": 77, "of": 99}\n{"kind": "prog')
        (job.out / "result.json").write_text("{}")
        events, _ = finish(backend.start(job))
        assert [event.step for event in events if isinstance(event, Progressed)] == [0, 1]
        assert not (job.out / "result.json").exists(), "a stale result would be taken for this attempt's"

    def test_jobs_run_side_by_side(self, backend: Sandbox, workshop: Workshop) -> None:
        first = backend.start(workshop.job("obedient", "a"))
        second = backend.start(workshop.job("finish", "b"))
        assert finish(second)[1].code == 0
        assert first.wait(0) is None
        first.kill()
        assert first.wait(0) is not None

    def test_an_unstaged_folder_is_refused(self, backend: Sandbox, workshop: Workshop, tmp_path: Path) -> None:
        job = workshop.job("finish")
        (tmp_path / "empty").mkdir()
        with pytest.raises(SandboxError, match="not staged"):
            backend.start(ScriptedJob(spec=job.spec, folder=tmp_path / "empty", model=job.model))
        assert not any((tmp_path / "empty").iterdir())

    def test_a_module_that_is_not_there_fails_as_a_job(self, backend: Sandbox, workshop: Workshop) -> None:
        @dataclass(frozen=True)
        class Missing(Job):
            @property
            def module(self) -> str:
                return "no_such_module_at_all"

        job = workshop.job("finish")
        _, ended = finish(backend.start(Missing(spec=job.spec, folder=job.folder, model=job.model)))
        assert ended.code == 1
        assert "no_such_module_at_all" in ended.message

    def test_recover_of_a_job_that_never_ran_is_none(self, backend: Sandbox, workshop: Workshop) -> None:
        assert backend.recover(workshop.job("finish")) is None

    def test_facts_name_what_is_isolated(self, backend: Sandbox) -> None:
        assert {"isolation", "network"} <= backend.facts().keys()
        assert all(backend.facts().values())
