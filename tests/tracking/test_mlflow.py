"""MLflow keeps the tracker's contract: as SQLite under a home, as a real server, and when there is none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conformance.traces import PROMPTS, trace
from tests.conformance.tracker import Make, TrackerSuite
from tests.tracking.conftest import Door, Server, free_port
from tests.tracking.records import Recorded

from tunewright.domain import event as ev
from tunewright.domain.errors import TrackingError, UsageError
from tunewright.tracking.database import prepare
from tunewright.tracking.mlflow import MlflowStore, MlflowTracker
from tunewright.tracking.mlflow_traces import MlflowTraces
from tunewright.tracking.traces import TraceLog
from tunewright.tracking.tracker import StudyTracker


@contextmanager
def statements() -> Iterator[list[str]]:
    """What any database is asked meanwhile, in SQL."""
    from sqlalchemy import Engine, event

    said: list[str] = []

    def hear(connection: object, cursor: object, statement: str, *rest: object) -> None:
        said.append(statement.strip())

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


class _MlflowSuite(TrackerSuite):
    def curve(self, tracker: StudyTracker, run_id: str, key: str) -> list[tuple[int, float]]:
        history = self.client(tracker).get_metric_history(run_id, key)
        return sorted((metric.step, metric.value) for metric in history)

    def versions(self, tracker: StudyTracker, model: str) -> dict[str, str]:
        return {str(v.version): v.run_id for v in self.client(tracker).search_model_versions(f"name = '{model}'")}

    def client(self, tracker: StudyTracker):  # type: ignore[no-untyped-def]  MLflow is not imported at module level
        assert isinstance(tracker.store, MlflowStore)
        return tracker.store._client

    def test_runs_hang_under_the_study_in_mlflow_s_own_terms(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        parent = tracker.start_study(recorded.study, recorded.folder)
        _, run = self.played(tracker, recorded)
        client = self.client(tracker)
        assert client.get_run(run).data.tags["mlflow.parentRunId"] == parent
        assert client.get_run(run).info.experiment_id == client.get_experiment_by_name("tunewright").experiment_id

    def test_the_registered_winner_can_be_fetched_by_its_alias(
        self, make: Make, tmp_path: Path, recorded: Recorded
    ) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        job, run = self.played(tracker, recorded)
        recorded.finish(job)
        tracker.finish_study(recorded.study, [])
        client = self.client(tracker)
        version = client.get_model_version_by_alias("tunewright-route-01", "winner")
        assert version.run_id == run and version.tags["tunewright.trial"] == job
        assert version.source.endswith(f"{run}/artifacts/adapter")


class TestSqlite(_MlflowSuite):
    @pytest.fixture
    def make(self, home: Path) -> Make:
        return lambda: MlflowTracker(f"sqlite:///{home / 'mlflow.db'}", home)

    def test_a_job_asks_the_database_no_more_at_the_fortieth_trial(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        asked: list[int] = []
        for _ in range(40):
            job = recorded.begin()
            events = recorded.end(job, steps=25)
            with statements() as said:
                run = tracker.start_job(recorded.study, job, recorded.job(job))
                tracker.log_events(recorded.study, job, events)
                tracker.finish_job(recorded.study, job, recorded.job(job))
            asked.append(len(said))
            recorded.story.tell(ev.Tracked(job=job, run_id=run))
        assert 0 < max(asked[-10:]) <= max(asked[5:15]), asked

    def test_nothing_is_left_outside_the_home(
        self,
        home: Path,
        recorded: Recorded,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        tracker = MlflowTracker(f"sqlite:///{home / 'mlflow.db'}", home)
        tracker.start_study(recorded.study, recorded.folder)
        self.played(tracker, recorded)
        assert list(elsewhere.iterdir()) == []
        assert {path.name for path in home.iterdir()} <= {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlartifacts"}
        said = capfd.readouterr()
        assert said.out == "" and said.err == ""

    def test_a_new_home_is_made_without_a_word(self, tmp_path: Path) -> None:
        home = tmp_path / "new" / "home"
        code = f"""
from pathlib import Path
from tunewright.tracking.mlflow import MlflowStore
store = MlflowStore("sqlite:///{home / "mlflow.db"}", Path("{home}"))
store.open_soon()
run = store.create("route-01", {{"a": "b"}}, None)
raise SystemExit(store.get(run).name != "route-01")
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_a_second_home_does_not_wait_for_migrations(self, tmp_path: Path, migrated: Path) -> None:
        home = tmp_path / "new"
        with statements() as said:
            store = MlflowStore(f"sqlite:///{home / 'mlflow.db'}", home, cache=migrated.parent)
            run = store.create("route-01", {"a": "b"}, None)
            assert store.get(run) is not None and store.find({"a": "b"}) == run
        assert any(one.startswith("INSERT") for one in said)
        assert not any(one.startswith(("CREATE TABLE", "ALTER")) for one in said), "it was there to be copied"

    def test_a_cache_that_cannot_be_written_is_done_without(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("in the way")
        prepare(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path, tmp_path / "cache")
        assert {path.name for path in tmp_path.iterdir()} == {"cache", "mlflow.db"}

    def test_a_home_that_cannot_be_written_is_named(self, tmp_path: Path, recorded: Recorded) -> None:
        (tmp_path / "file").write_text("in the way")
        home = tmp_path / "file" / "home"
        with pytest.raises(UsageError, match="cannot write the MLflow store") as told:
            MlflowTracker(f"sqlite:///{home / 'mlflow.db'}", home).start_study(recorded.study, recorded.folder)
        assert str(home) in told.value.message and "TUNEWRIGHT_HOME" in told.value.hint

    def test_a_store_that_is_no_database_is_named(self, tmp_path: Path, recorded: Recorded) -> None:
        (tmp_path / "mlflow.db").write_text("this is a diary\n" * 200)
        with pytest.raises(TrackingError, match=r"mlflow\.db' is no SQLite database"):
            MlflowTracker(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path).start_study(recorded.study, recorded.folder)

    def test_a_run_deleted_in_the_ui_is_made_again(self, make: Make, recorded: Recorded) -> None:
        first = make()
        parent = first.start_study(recorded.study, recorded.folder)
        recorded.story.tell(ev.Tracked(job="study", run_id=parent))
        self.client(first).delete_run(parent)
        assert make().start_study(recorded.study, recorded.folder) != parent

    def test_a_deleted_experiment_says_how_to_get_it_back(self, make: Make, recorded: Recorded) -> None:
        client = self.client(make())
        client.delete_experiment(client.get_experiment_by_name("tunewright").experiment_id)
        with pytest.raises(TrackingError, match="experiment 'tunewright' was deleted"):
            make().start_study(recorded.study, recorded.folder)


class TestServer(_MlflowSuite):
    @pytest.fixture
    def make(self, mlflow_server: Server, tmp_path: Path) -> Make:
        return lambda: MlflowTracker(mlflow_server.uri, tmp_path / "home")

    def versions(self, tracker: StudyTracker, model: str) -> dict[str, str]:
        """Renumbered: the one server has seen the studies of other tests."""
        found = super().versions(tracker, model)
        newest = max(map(int, found), default=0)
        return {"1": found[str(newest)]} if found else {}


class TestNoServer:
    def test_a_dead_server_is_told_of_in_seconds(self, tmp_path: Path) -> None:
        recorded, uri = Recorded(tmp_path), f"http://127.0.0.1:{free_port()}"
        began = time.monotonic()
        with pytest.raises(TrackingError) as told:
            MlflowTracker(uri, tmp_path).start_study(recorded.study, recorded.folder)
        assert told.value.message == f"the MLflow server at {uri} does not answer: Connection refused"
        assert "MLFLOW_TRACKING_URI" in told.value.hint
        assert time.monotonic() - began < 20

    def test_a_server_that_says_nothing_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        recorded = Recorded(tmp_path)
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            uri = f"http://127.0.0.1:{mute.getsockname()[1]}"
            with pytest.raises(TrackingError, match=r"does not answer: .*timed out"):
                MlflowTracker(uri, tmp_path).start_study(recorded.study, recorded.folder)

    def test_a_password_in_the_uri_is_not_shown(self, tmp_path: Path) -> None:
        recorded, port = Recorded(tmp_path), free_port()
        with pytest.raises(TrackingError) as told:
            MlflowTracker(f"http://me:hunter2@127.0.0.1:{port}", tmp_path).start_study(recorded.study, recorded.folder)
        assert "hunter2" not in str(told.value) and f"127.0.0.1:{port}" in str(told.value)

    def test_a_server_that_dies_and_returns_gets_everything(
        self, door: Door, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        recorded = Recorded(tmp_path)
        tracker = MlflowTracker(door.uri, tmp_path)
        tracker.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        events = recorded.end(job)
        tracker.log_events(recorded.study, job, events[:100])
        door.shut()
        with pytest.raises(TrackingError, match="does not answer"):
            tracker.finish_job(recorded.study, job, recorded.job(job))
        door.open()
        assert tracker.start_job(recorded.study, job, recorded.job(job)) == run
        tracker.finish_job(recorded.study, job, recorded.job(job))
        record = tracker.store.get(run)
        assert record is not None and record.status == "FINISHED" and record.metrics["val/accuracy"] == 0.8
        steps = [metric.step for metric in tracker.mlflow._client.get_metric_history(run, "loss")]
        assert sorted(steps) == sorted(set(steps)) and max(steps) == 225
        said = capfd.readouterr()
        assert said.out == "" and said.err == ""

    def test_traces_and_prompts_reach_a_server_that_was_away(self, door: Door, tmp_path: Path) -> None:
        recorded, tracker = Recorded(tmp_path), MlflowTracker(door.uri, tmp_path)
        run = tracker.start_study(recorded.study, recorded.folder)
        recorded.story.tell(ev.Tracked(at=recorded.story.tick(), job="study", run_id=run))
        log = TraceLog(MlflowTraces(tracker.mlflow), PROMPTS)
        door.shut()
        with pytest.raises(TrackingError, match="does not answer"):
            log.log(recorded.study, [trace(jobs=())])
        door.open()
        for _ in range(2):
            log.log(recorded.study, [trace(jobs=())])
        TraceLog(MlflowTraces(tracker.mlflow), PROMPTS).log(recorded.study, [trace(jobs=(), rounds=2)])
        with tracker.mlflow.asking("look") as (client, experiment):
            (one,) = client.search_traces(locations=[experiment], run_id=run)
            assert [span.name for span in one.data.spans].count("openai/stub") == 2
            assert one.info.token_usage["total_tokens"] == 60 and one.info.tags["tunewright.study"] == "route-01"
            assert one.info.execution_duration == 10_000
            assert client.load_prompt("prompts:/tunewright-explain/1").template == PROMPTS["explain@aaaa"]

    def test_a_run_goes_on_while_the_server_is_away(self, tmp_path: Path) -> None:
        """Curves that cannot be sent are held back for a while, so that steering does not wait for timeouts."""
        from tunewright.tracking.memory import MemoryStore

        class Flaky(MemoryStore):
            asked = 0

            def log(self, run_id: str, **facts: object) -> None:  # type: ignore[override]  any facts are refused
                self.asked += 1
                raise TrackingError("away")

        recorded, store = Recorded(tmp_path), Flaky()
        tracker = StudyTracker(store)
        job = recorded.begin()
        with pytest.raises(TrackingError):
            tracker.start_job(recorded.study, job, recorded.job(job))
        events = recorded.end(job)
        tracker._runs[_key(recorded), job] = store.create(job, {}, None)
        store.asked = 0
        with pytest.raises(TrackingError):
            tracker.log_events(recorded.study, job, events[:10])
        for event in events[10:]:
            tracker.log_events(recorded.study, job, [event])
        assert store.asked == 1


def _key(recorded: Recorded) -> str:
    from tunewright.tracking.entry import study_key

    return study_key(recorded.study)


def test_importing_the_tracker_does_not_import_mlflow() -> None:
    code = "import sys, tunewright.tracking.mlflow; raise SystemExit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0
