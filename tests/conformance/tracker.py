"""What every tracker must do. Subclass ``TrackerSuite`` and give ``make``: trackers over one and the same store.

A second tracker from the factory stands for the process that takes a study up after the first one died.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tracking.records import Recorded

from tunewright.domain import event as ev
from tunewright.domain.outcome import Completed, Fault, Paused
from tunewright.domain.protocols import Tracker
from tunewright.domain.trial_event import Progressed
from tunewright.tracking.store import RunRecord
from tunewright.tracking.tracker import StudyTracker

Make = Callable[[], StudyTracker]


def run_of(tracker: StudyTracker, run_id: str) -> RunRecord:
    record = tracker.store.get(run_id)
    assert record is not None
    return record


def text_of(tracker: StudyTracker, run_id: str, name: str, into: Path) -> str:
    path = tracker.store.download(run_id, name, into)
    assert path is not None, f"run has no {name}"
    return path.read_text()


class TrackerSuite:
    """The contract of ``Tracker``."""

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError

    @pytest.fixture
    def recorded(self, tmp_path: Path) -> Recorded:
        return Recorded(tmp_path)

    def played(self, tracker: Tracker, recorded: Recorded, *, score: float = 0.8) -> tuple[str, str]:
        """One trial from launch to end; its job and run."""
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        tracker.log_events(recorded.study, job, recorded.end(job, score))
        tracker.finish_job(recorded.study, job, recorded.job(job))
        recorded.story.tell(ev.Tracked(job=job, run_id=run))
        return job, run

    def test_a_trial_is_told_whole(self, make: Make, recorded: Recorded, tmp_path: Path) -> None:
        tracker = make()
        parent = tracker.start_study(recorded.study, recorded.folder)
        job, run = self.played(tracker, recorded)
        record = run_of(tracker, run)
        assert record.name == job and record.status == "FINISHED"
        assert record.params["stages.0.adapter.kind"] == "lora"
        assert record.params["task.metric"] == "accuracy"
        tags = {name.removeprefix("tunewright."): value for name, value in record.tags.items()}
        assert tags["job"] == job and tags["role"] == "trial" and tags["origin"] == "default"
        assert tags["decision.action"] == "approve" and tags["decision.by"] == "person"
        assert tags["status"] == "completed" and tags["data.train.digest"] == recorded.data.train.digest
        assert record.metrics["val/accuracy"] == pytest.approx(0.8)
        assert record.metrics["loss"] == pytest.approx(3.0 / 225)
        assert record.metrics["cost/wall_s"] > 0 and record.metrics["system/memory_gib"] == 1.5
        assert "system/cpu_percent" in record.metrics
        for name in ("spec.json", "recipe.json", "items.jsonl", "curve.jsonl", "events.jsonl", "git.json"):
            assert text_of(tracker, run, name, tmp_path / "there")
        assert "mlflow==" in text_of(tracker, run, "environment.txt", tmp_path / "there")
        assert "LORA" in text_of(tracker, run, "adapter/adapter_config.json", tmp_path / "there")
        assert run_of(tracker, parent).name == recorded.study.name

    def test_data_lies_with_the_study_and_the_sealed_test_nowhere(
        self, make: Make, recorded: Recorded, tmp_path: Path
    ) -> None:
        tracker = make()
        parent = tracker.start_study(recorded.study, recorded.folder)
        recorded.begin("test", "test")
        recorded.end("test", 0.7)
        run = tracker.start_job(recorded.study, "test", recorded.job("test"))
        tracker.finish_job(recorded.study, "test", recorded.job("test"))
        recorded.finish(None)
        tracker.finish_study(recorded.study, [])
        train = text_of(tracker, parent, "data/train.jsonl", tmp_path / "there")
        assert train == (recorded.folder / "data" / "train.jsonl").read_text()
        assert tracker.store.download(parent, "data/test.jsonl", tmp_path / "there") is None
        assert run_of(tracker, parent).tags["tunewright.data.test.digest"] == recorded.data.test.digest
        items = text_of(tracker, run, "items.jsonl", tmp_path / "there").splitlines()
        assert len(items) == 40 and all(json.loads(line).keys() == {"id", "score"} for line in items)
        assert run_of(tracker, parent).metrics["test/accuracy"] == pytest.approx(0.7)
        assert "val/accuracy" not in run_of(tracker, run).metrics

    def test_the_plan_follows_when_it_is_known(self, make: Make, tmp_path: Path) -> None:
        tracker, recorded = make(), Recorded(tmp_path)
        early = type(recorded.study)(recorded.story.events[:2])
        parent = tracker.start_study(early, recorded.folder)
        assert tracker.store.download(parent, "plan.json", tmp_path / "a") is None
        assert tracker.start_study(recorded.study, recorded.folder) == parent
        assert "space" in text_of(tracker, parent, "plan.json", tmp_path / "b")

    def test_a_second_process_finds_the_runs_again(self, make: Make, recorded: Recorded) -> None:
        first = make()
        parent = first.start_study(recorded.study, recorded.folder)
        job, run = self.played(first, recorded)
        recorded.study.runs.clear()  # the crash came before the journal knew of them
        second = make()
        assert second.start_study(recorded.study, recorded.folder) == parent
        assert second.start_job(recorded.study, job, recorded.job(job)) == run

    def test_saying_it_again_changes_nothing(self, make: Make, recorded: Recorded, tmp_path: Path) -> None:
        first = make()
        first.start_study(recorded.study, recorded.folder)
        job, run = self.played(first, recorded)
        before, curve = run_of(first, run), self.curve(first, run, "loss")
        first.finish_job(recorded.study, job, recorded.job(job))
        second = make()
        second.start_study(recorded.study, recorded.folder)
        second.start_job(recorded.study, job, recorded.job(job))
        second.finish_job(recorded.study, job, recorded.job(job))
        after = run_of(second, run)
        assert self.curve(second, run, "loss") == curve and len(curve) > 100
        assert len(self.curve(second, run, "val/accuracy")) == 1
        assert len(self.curve(second, run, "system/cpu_percent")) == 1
        assert after == before

    def test_curves_are_whole_after_a_crash_in_the_middle(self, make: Make, recorded: Recorded) -> None:
        first = make()
        first.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        run = first.start_job(recorded.study, job, recorded.job(job))
        events = recorded.end(job)
        first.log_events(recorded.study, job, events[:60])
        second = make()
        second.finish_job(recorded.study, job, recorded.job(job))
        steps = [step for step, _ in self.curve(second, run, "loss")]
        assert steps == sorted(set(steps)) and steps[0] == 1 and steps[-1] == 225

    def test_steps_repeated_after_a_resume_count_once(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        events = recorded.end(job, steps=20)
        again = [event.model_copy(update={"at": event.at + 100}) for event in events if isinstance(event, Progressed)]
        tracker.log_events(recorded.study, job, events[:15])
        tracker.log_events(recorded.study, job, again[5:])
        tracker.finish_job(recorded.study, job, recorded.job(job))
        assert [step for step, _ in self.curve(tracker, run, "loss")] == list(range(1, 21))

    def test_a_long_curve_is_thinned_to_hundreds(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        tracker.log_events(recorded.study, job, recorded.end(job, steps=4321))
        tracker.finish_job(recorded.study, job, recorded.job(job))
        steps = [step for step, _ in self.curve(tracker, run, "loss")]
        assert 100 <= len(steps) <= 202 and steps[0] == 1 and steps[-1] == 4321

    def test_a_pause_ends_the_run_and_a_resume_opens_it(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        cost = recorded.study.spent(recorded.story.now)
        paused = ev.JobEnded(at=recorded.story.tick(), job=job, outcome=Paused(reason="Ctrl-C", cost=cost))
        recorded.story.tell(paused)
        tracker.finish_job(recorded.study, job, recorded.job(job))
        assert run_of(tracker, run).status == "KILLED"
        assert run_of(tracker, run).tags["tunewright.stopped"] == "Ctrl-C"
        recorded.story.launch(job, attempt=2)
        assert tracker.start_job(recorded.study, job, recorded.job(job)) == run
        assert run_of(tracker, run).status == "RUNNING"

    def test_a_failed_trial_says_whose_fault(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        recorded.story.fail(job, "memory", "7.9 of 6.0 GiB")
        tracker.finish_job(recorded.study, job, recorded.job(job))
        record = run_of(tracker, run)
        assert record.status == "FAILED"
        assert Fault(kind="memory", message="7.9 of 6.0 GiB", step=1) == Fault(
            kind=record.tags["tunewright.fault"],  # type: ignore[arg-type]  read back as text
            message=record.tags["tunewright.fault.message"],
            step=int(record.tags["tunewright.fault.step"]),
        )

    def test_a_verdict_given_later_reaches_the_run(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        recorded.begin("base", "base")
        recorded.end("base", 0.1)
        tracker.finish_job(recorded.study, "base", recorded.job("base"))
        job, run = self.played(tracker, recorded)
        assert "tunewright.verdict" not in run_of(tracker, run).tags
        recorded.story.judge(job, "base")
        recorded.finish(job)
        tracker.finish_study(recorded.study, [])
        tags = run_of(tracker, run).tags
        assert tags["tunewright.verdict"] == recorded.study.verdicts[-1].says()
        assert tags["tunewright.verdict.answer"] == "better" and tags["tunewright.verdict.against"] == "base"

    def test_the_end_registers_the_winner_once(self, make: Make, recorded: Recorded, tmp_path: Path) -> None:
        tracker = make()
        parent = tracker.start_study(recorded.study, recorded.folder)
        job, run = self.played(tracker, recorded)
        recorded.finish(job)
        report = tmp_path / "report.html"
        report.write_text("<h1>route-01</h1>")
        tracker.finish_study(recorded.study, [report])
        make().finish_study(recorded.study, [report])
        record = run_of(tracker, parent)
        assert record.status == "FINISHED"
        assert record.tags["tunewright.winner"] == job and record.tags["tunewright.winner.run"] == run
        assert record.metrics["best/accuracy"] == pytest.approx(0.8)
        assert text_of(tracker, parent, "report/report.html", tmp_path / "there") == report.read_text()
        assert self.versions(tracker, f"tunewright-{recorded.study.name}") == {"1": run}

    def test_a_study_without_a_winner_registers_nothing(self, make: Make, tmp_path: Path) -> None:
        tracker, recorded = make(), Recorded(tmp_path, "nothing-won")
        tracker.start_study(recorded.study, recorded.folder)
        self.played(tracker, recorded)
        recorded.finish(None)
        tracker.finish_study(recorded.study, [])
        assert self.versions(tracker, "tunewright-nothing-won") == {}

    def test_two_studies_of_one_name_do_not_mix(self, make: Make, tmp_path: Path) -> None:
        mine, theirs = Recorded(tmp_path / "mine"), Recorded(tmp_path / "theirs")
        first, second = make(), make()
        assert first.start_study(mine.study, mine.folder) != second.start_study(theirs.study, theirs.folder)
        assert self.played(first, mine)[1] != self.played(second, theirs)[1]

    def test_no_secret_of_the_environment_is_kept(
        self, make: Make, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOME_API_KEY", "sk-a-very-secret-thing")
        tracker = make()
        parent = tracker.start_study(recorded.study, recorded.folder)
        _, run = self.played(tracker, recorded)
        for run_id in (parent, run):
            assert "sk-a-very-secret-thing" not in run_of(tracker, run_id).model_dump_json()
        for name in ("spec.json", "environment.txt", "git.json", "events.jsonl"):
            assert "sk-a-very-secret-thing" not in text_of(tracker, run, name, tmp_path / "there")

    def test_a_score_that_is_no_number_does_not_stop_it(self, make: Make, recorded: Recorded) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        tracker.start_job(recorded.study, job, recorded.job(job))
        recorded.end(job)
        bad = [Progressed(at=1.0, step=1, of=3, loss=float("nan")), Progressed(at=2.0, step=2, of=3, loss=float("inf"))]
        tracker.log_events(recorded.study, job, bad)
        tracker.finish_job(recorded.study, job, recorded.job(job))
        assert isinstance(recorded.study.jobs[job].outcome, Completed)

    def test_links_out_of_a_sandbox_are_not_followed(self, make: Make, recorded: Recorded, tmp_path: Path) -> None:
        tracker = make()
        tracker.start_study(recorded.study, recorded.folder)
        job = recorded.begin()
        run = tracker.start_job(recorded.study, job, recorded.job(job))
        recorded.end(job)
        out = recorded.job(job) / "out"
        (tmp_path / "private.json").write_text("{}")
        (out / "stolen.json").symlink_to(tmp_path / "private.json")
        (out / "adapter" / "stolen.json").symlink_to(tmp_path / "private.json")
        tracker.finish_job(recorded.study, job, recorded.job(job))
        for name in ("stolen.json", "adapter"):
            assert tracker.store.download(run, name, tmp_path / "there") is None
        assert text_of(tracker, run, "result.json", tmp_path / "there")

    def curve(self, tracker: StudyTracker, run_id: str, key: str) -> list[tuple[int, float]]:
        """Step and value of every point, in order of step."""
        raise NotImplementedError

    def versions(self, tracker: StudyTracker, model: str) -> dict[str, str]:
        """Version -> run id of a registered model."""
        raise NotImplementedError
