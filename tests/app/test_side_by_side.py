"""Whole studies with trials side by side that pause at rungs: real journal, LangGraph, Optuna and MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.conftest import most_at_once, replayed

import tunewright as tw
from tunewright.app import driving
from tunewright.app.health import trial_memory_gib
from tunewright.domain.errors import UsageError
from tunewright.domain.event import JobEnded, JobPromoted, StudyOptions
from tunewright.domain.outcome import Paused
from tunewright.domain.task import Brief
from tunewright.settings import Settings
from tunewright.tracking.journal import events
from tunewright.tracking.mlflow import MlflowTracker


def test_trials_overlap_wait_and_go_on_each_in_one_run(rows: Path, settings: Settings) -> None:
    brief = f"Teach tiny to label {rows} (field label). At most 20 minutes and 6 trials, two at a time."
    options = replayed(pruner="halving", sandbox_options={"seconds": "0.2"}, threads=None)
    summary = tw.run(brief, options=options, settings=settings)
    study = tw.load(summary.study, settings=settings)
    assert summary.state == "winner" and summary.trials == 6
    assert study.options.slots == 2 and study.options.memory_gib == trial_memory_gib(2)
    told, _ = events(settings.studies / summary.study)
    assert most_at_once(told) == 2
    waited = {one.job for one in told if isinstance(one, JobEnded) and isinstance(one.outcome, Paused)}
    promoted = {one.job for one in told if isinstance(one, JobPromoted)}
    assert promoted and promoted <= waited
    assert all(job.ended for job in study.trials)
    assert len(set(study.runs.values())) == len(study.runs) and set(study.jobs) <= set(study.runs)
    tracker = MlflowTracker(settings.mlflow_uri, settings.home, cache=settings.cache)
    for job in promoted:
        record = tracker.store.get(study.runs[job])
        assert record is not None and record.status in ("FINISHED", "KILLED")
        assert record.tags["tunewright.attempts"] == str(study.jobs[job].attempts)
        steps = [point.step for point in tracker.mlflow._client.get_metric_history(study.runs[job], "loss")]
        assert steps == sorted(set(steps)), "no step twice, none out of order"


def test_what_an_option_says_goes_before_the_brief_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.app.health.gpu_count", lambda: 8)
    three = Brief(text="Run 3 trials at a time.")
    plain = Brief(text="Be quick.")
    assert driving._settled(StudyOptions(slots=1), three).slots == 1
    assert driving._settled(StudyOptions(), three).slots == 3
    assert driving._settled(StudyOptions(), plain).slots == 1
    assert driving._settled(StudyOptions(gpus=2), plain).slots == 4
    assert driving._settled(StudyOptions(threads=5, slots=64), plain).threads == 5
    assert driving._settled(StudyOptions(slots=256), plain).threads == 1
    with pytest.raises(UsageError, match="need 9 GPUs, 8 found"):
        driving._check_names(StudyOptions(gpus=3, slots=3))
