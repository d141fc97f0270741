"""Reproduction: everything comes from the store, and the verdict is as strict as it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stories import CODE, MODEL
from tests.tracking.records import Recorded

from tunewright.domain import event as ev
from tunewright.domain.errors import TrackingError, UnknownNameError, UsageError
from tunewright.domain.job_event import Role
from tunewright.tracking.bundle import read_curve
from tunewright.tracking.identity import environment_lock
from tunewright.tracking.memory import MemoryStore
from tunewright.tracking.mlflow import MlflowTracker
from tunewright.tracking.reproduction import Bundle, Check, check_identity, compare, fetch, first_difference
from tunewright.tracking.tracker import StudyTracker


class Told:
    """A finished study in a store, its own folder gone."""

    def __init__(self, folder: Path, tracker: StudyTracker) -> None:
        self.tracker, self.recorded = tracker, Recorded(folder / "source")
        study = self.recorded.study
        self.parent = tracker.start_study(study, self.recorded.folder)
        self.runs: dict[str, str] = {}
        self.job("base", 0.1, role="base")
        self.trial = self.job("", 0.8)
        self.failed = self.recorded.begin()
        self.runs[self.failed] = tracker.start_job(study, self.failed, self.recorded.job(self.failed))
        self.recorded.story.fail(self.failed, "memory", "7.9 of 6.0 GiB")
        tracker.finish_job(study, self.failed, self.recorded.job(self.failed))
        self.job("test", 0.7, role="test")
        self.recorded.finish(self.trial)
        tracker.finish_study(study, [])
        self.out = folder / "again"
        shutil.copytree(self.recorded.job(self.trial) / "out", self.out)
        shutil.rmtree(self.recorded.folder)

    def job(self, job: str, score: float, role: Role = "trial") -> str:
        job = self.recorded.begin(role, job)
        run = self.tracker.start_job(self.recorded.study, job, self.recorded.job(job))
        self.recorded.end(job, score)
        self.tracker.finish_job(self.recorded.study, job, self.recorded.job(job))
        self.recorded.story.tell(ev.Tracked(job=job, run_id=run))
        self.runs[job] = run
        return job

    def fetch(self, folder: Path, run: str | None = None) -> Bundle:
        return fetch(run or self.runs[self.trial], folder, self.tracker.store)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path, StudyTracker(MemoryStore()))


class TestFetch:
    def test_everything_comes_from_the_store(self, told: Told, tmp_path: Path) -> None:
        bundle = told.fetch(tmp_path / "there")
        assert bundle.spec.id == told.trial and bundle.spec.recipe == told.recorded.study.recipe_of(told.trial).recipe
        assert len(bundle.curve) == 225 and bundle.score == 0.8 and len(bundle.items) == 40
        assert bundle.train.is_relative_to(tmp_path / "there") and len(bundle.train.read_text().splitlines()) == 40
        assert bundle.environment == environment_lock()

    def test_from_mlflow_too(self, home: Path, tmp_path: Path) -> None:
        told = Told(tmp_path, MlflowTracker(f"sqlite:///{home / 'mlflow.db'}", home))
        bundle = told.fetch(tmp_path / "there", told.runs[told.trial][:8].upper())
        assert bundle.run_id == told.runs[told.trial]
        assert compare(bundle, told.out).verdict == "bit-identical"
        with pytest.raises(UnknownNameError, match="there is no run 'ffffffffff'"):
            told.fetch(tmp_path / "x", "ffffffffff")

    def test_a_beginning_is_enough_if_it_is_the_only_one(self, told: Told, tmp_path: Path) -> None:
        store = told.tracker.store
        assert isinstance(store, MemoryStore)
        run = store.runs[told.runs[told.trial]]
        store.runs["7f3c2a" + "0" * 26] = run
        assert told.fetch(tmp_path / "a", "7f3c2a").run_id == "7f3c2a" + "0" * 26
        store.runs["7f3c2a" + "1" * 26] = run
        with pytest.raises(UsageError, match="2 runs begin with '7f3c2a'"):
            told.fetch(tmp_path / "b", "7f3c2a")
        assert told.fetch(tmp_path / "c", "7f3c2a1").run_id == "7f3c2a" + "1" * 26

    @pytest.mark.parametrize("ref", ["", "7f3", "  ", "7f3c2"])
    def test_too_little_is_refused(self, told: Told, tmp_path: Path, ref: str) -> None:
        with pytest.raises(UsageError, match="too short"):
            fetch(ref, tmp_path / "there", told.tracker.store)

    @pytest.mark.parametrize("ref", ["0123456789abcdef" * 2, "' or 1=1 --", "../../../etc/passwd", "ünïcödé-run"])
    def test_what_is_no_run_is_unknown(self, told: Told, tmp_path: Path, ref: str) -> None:
        with pytest.raises(UnknownNameError, match="there is no run"):
            told.fetch(tmp_path / "there", ref)

    def test_the_study_itself_points_to_its_winner(self, told: Told, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is the study route-01 itself") as said:
            told.fetch(tmp_path / "there", told.parent)
        assert told.runs[told.trial] in said.value.hint

    def test_what_trained_nothing_is_refused(self, told: Told, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="measures the base model"):
            told.fetch(tmp_path / "there", told.runs["base"])
        with pytest.raises(UsageError, match="sealed test"):
            told.fetch(tmp_path / "there", told.runs["test"])

    def test_a_failed_trial_says_why_it_cannot_be_had(self, told: Told, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"not trained to its end \(failed: 7.9 of 6.0 GiB\)"):
            told.fetch(tmp_path / "there", told.runs[told.failed])

    def test_a_run_of_another_program_is_refused(self, told: Told, tmp_path: Path) -> None:
        run = told.tracker.store.create("something", {}, None)
        with pytest.raises(UsageError, match="was not made by tunewright"):
            told.fetch(tmp_path / "there", run)

    def test_a_record_with_a_hole_names_it(self, told: Told, tmp_path: Path) -> None:
        assert isinstance(told.tracker.store, MemoryStore)
        del told.tracker.store.runs[told.parent].files["data/val.jsonl"]
        with pytest.raises(TrackingError, match=r"has no 'data/val.jsonl'"):
            told.fetch(tmp_path / "there")


class TestChecks:
    def checks(self, bundle: Bundle, **now: object) -> dict[str, Check]:
        given = {"code": CODE, "model_digest": MODEL.digest, "environment": bundle.environment} | now
        return {check.name: check for check in check_identity(bundle, **given)}  # type: ignore[arg-type]  varied by name

    def test_the_same_everywhere(self, told: Told, tmp_path: Path) -> None:
        found = self.checks(told.fetch(tmp_path / "there"))
        assert all(check.ok for check in found.values())
        assert found["code"].detail == "same commit, clean tree"
        assert found["data"].detail == "digests match (3 of 3)"
        pins = len(environment_lock())
        assert found["env"].detail == f"{pins} of {pins} pins match"

    def test_a_row_changed_in_the_store_shows(self, told: Told, tmp_path: Path) -> None:
        bundle = told.fetch(tmp_path / "there")
        bundle.train.write_text(bundle.train.read_text().replace("train 7", "train 8"))
        found = self.checks(bundle)["data"]
        assert not found.ok and found.detail == "digests match (2 of 3), not train"

    def test_other_code_is_told_apart_from_another_commit(self, told: Told, tmp_path: Path) -> None:
        bundle = told.fetch(tmp_path / "there")
        later = CODE.model_copy(update={"git_commit": "e" * 40, "git_dirty": True})
        assert self.checks(bundle, code=later)["code"] == Check(
            name="code", ok=True, detail="same sources at another commit, changes beside them"
        )
        found = self.checks(bundle, code=later.model_copy(update={"digest": "f" * 64}))["code"]
        assert not found.ok and "with changes" in found.detail

    def test_another_model_and_another_pin(self, told: Told, tmp_path: Path) -> None:
        bundle = told.fetch(tmp_path / "there")
        now = [line for line in bundle.environment if not line.startswith(("torch==", "absl"))] + ["torch==1.0"]
        found = self.checks(bundle, model_digest="0" * 64, environment=now)
        assert not found["model"].ok and "smollm2-135m" in found["model"].detail
        assert not found["env"].ok and "torch" in found["env"].detail and "is now 1.0" in found["env"].detail

    def test_a_new_distribution_changes_nothing(self, told: Told, tmp_path: Path) -> None:
        bundle = told.fetch(tmp_path / "there")
        assert self.checks(bundle, environment=(*bundle.environment, "leftpad==1.0"))["env"].ok


class TestCompare:
    def test_the_same_again_is_bit_identical(self, told: Told, tmp_path: Path) -> None:
        found = compare(told.fetch(tmp_path / "there"), told.out)
        assert found.verdict == "bit-identical" and found.first_different_step is None and found.steps == 225
        assert found.adapter_identical and found.curve_identical
        assert json.loads(found.model_dump_json())["verdict"] == "bit-identical"

    def test_the_same_losses_with_another_adapter_are_not(self, told: Told, tmp_path: Path) -> None:
        self.change(told.out, adapter_digest="0" * 64)
        found = compare(told.fetch(tmp_path / "there"), told.out)
        assert found.verdict == "within-tolerance" and found.curve_identical and not found.adapter_identical

    def test_no_digest_is_not_the_same_digest(self, told: Told, tmp_path: Path) -> None:
        self.change(told.out, adapter_digest=None)
        bundle = told.fetch(tmp_path / "there")
        bundle = bundle.model_copy(update={"result": bundle.result.model_copy(update={"adapter_digest": None})})
        assert compare(bundle, told.out).verdict != "bit-identical"

    def test_one_bit_in_one_loss_is_found(self, told: Told, tmp_path: Path) -> None:
        import math

        lines = [json.loads(line) for line in (told.out / "curve.jsonl").read_text().splitlines()]
        lines[99]["loss"] = math.nextafter(lines[99]["loss"], 9)
        (told.out / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        found = compare(told.fetch(tmp_path / "there"), told.out)
        assert found.first_different_step == 100 and found.verdict == "within-tolerance"

    @pytest.mark.parametrize(
        ("score", "tolerance", "verdict"),
        [
            (0.83, None, "within-tolerance"),  # the interval of 0.8 over 304 items is 0.045 to each side
            (0.90, None, "different"),
            (0.81, 0.005, "different"),
            (0.81, 0.02, "within-tolerance"),
            (0.80, 0.0, "within-tolerance"),
        ],
    )
    def test_a_score_counts_within_the_noise(
        self, told: Told, tmp_path: Path, score: float, tolerance: float | None, verdict: str
    ) -> None:
        result = json.loads((told.out / "result.json").read_text())
        result["measurement"]["value"] = score
        result["adapter_digest"] = "0" * 64
        (told.out / "result.json").write_text(json.dumps(result))
        found = compare(told.fetch(tmp_path / "there"), told.out, tolerance=tolerance)
        assert found.verdict == verdict and found.score == score and found.recorded_score == 0.8

    def test_a_shorter_training_differs_where_it_stops(self, told: Told, tmp_path: Path) -> None:
        lines = (told.out / "curve.jsonl").read_text().splitlines(keepends=True)
        (told.out / "curve.jsonl").write_text("".join(lines[:200]))
        assert compare(told.fetch(tmp_path / "there"), told.out).first_different_step == 201

    def test_a_training_that_failed_is_no_reproduction(self, told: Told, tmp_path: Path) -> None:
        bundle = told.fetch(tmp_path / "there")
        self.change(told.out, status="failed", fault={"kind": "memory", "message": "too large"})
        with pytest.raises(TrackingError, match="ended failed: too large"):
            compare(bundle, told.out)
        (told.out / "result.json").unlink()
        with pytest.raises(TrackingError, match="left no readable"):
            compare(bundle, told.out)

    def change(self, out: Path, **fields: object) -> None:
        result = json.loads((out / "result.json").read_text()) | fields
        (out / "result.json").write_text(json.dumps(result))


_CURVES = st.dictionaries(st.integers(1, 30), st.floats(width=32))


class TestFirstDifference:
    @given(_CURVES)
    def test_a_curve_does_not_differ_from_itself(self, curve: dict[int, float]) -> None:
        assert first_difference(curve, dict(curve)) is None

    @given(_CURVES, _CURVES)
    def test_it_is_the_same_both_ways_and_nothing_differs_before(
        self, one: dict[int, float], other: dict[int, float]
    ) -> None:
        step = first_difference(one, other)
        assert step == first_difference(other, one)
        before = {k: v for k, v in one.items() if step is None or k < step}
        assert first_difference(before, {k: v for k, v in other.items() if step is None or k < step}) is None

    def test_a_line_without_a_loss_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "curve.jsonl").write_text('{"step": 1, "loss": NaN, "lr": 0.1}\n{"step": 2}\n')
        with pytest.raises(TrackingError, match=r"curve\.jsonl line 2"):
            read_curve(tmp_path / "curve.jsonl")
