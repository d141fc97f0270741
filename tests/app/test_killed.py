"""kill -9 at random moments, resume, and nothing is lost, run twice or charged twice."""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tunewright as tw
from tunewright.domain.event import JobEnded, JobLaunched, Judged
from tunewright.domain.outcome import Completed, Paused, Pruned
from tunewright.settings import Settings
from tunewright.tracking.journal import events

pytestmark = pytest.mark.timeout(600)
TRIALS = 4
COMMAND = [str(Path(sys.executable).with_name("tunewright"))]


def start(*arguments: str, settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "TUNEWRIGHT_HOME": str(settings.home),
        "TUNEWRIGHT_CACHE": str(settings.cache),
        "MLFLOW_TRACKING_URI": settings.tracking_uri or "",
    }
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=False
    )


def test_a_study_survives_being_killed(rows: Path, settings: Settings) -> None:
    brief = f"Teach tiny to label {rows} (field label). Maximise accuracy. At most 20 minutes and {TRIALS} trials."
    moments = random.Random(11)
    run = [
        "run",
        brief,
        "--study",
        "killed",
        "--review",
        "never",
        "--sandbox",
        "replay",
        "--sandbox-option",
        "seconds=1",
        "--slots",
        "2",
        "--pruner",
        "halving",
    ]
    process = start(*run, settings=settings)
    journal = settings.studies / "killed" / "journal.jsonl"
    for _ in range(5):
        _wait_for_growth(journal, process)
        time.sleep(moments.uniform(0.0, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start("resume", "killed", settings=settings)
    _, said = process.communicate(timeout=300)
    assert process.returncode in (0, 4), said.decode()[-2000:]

    summary = tw.status("killed", settings=settings)
    assert summary.trials == TRIALS
    told, _ = events(settings.studies / "killed")
    ends = collections.Counter(
        one.job for one in told if isinstance(one, JobEnded) and not isinstance(one.outcome, Paused)
    )
    assert set(ends.values()) == {1}, "every job came to its end exactly once"
    assert all(isinstance(job.outcome, Completed | Pruned) for job in tw.load("killed", settings=settings).trials)
    assert {f"t{number}" for number in range(TRIALS)} <= ends.keys()
    judged = collections.Counter(one.verdict.trial for one in told if isinstance(one, Judged))
    assert set(judged.values()) == {1}
    study = tw.load("killed", settings=settings)
    for launched in (one for one in told if isinstance(one, JobLaunched)):
        assert launched.attempt <= study.jobs[launched.job].attempts
    assert sum(job.settled.device_s for job in study.jobs.values()) == pytest.approx(summary.spent.device_s, abs=0.01)
    assert summary.budget is not None and summary.budget.shortfalls(summary.spent, study.reserved()) == []
    assert set(study.jobs) <= set(study.runs), "every job has its MLflow run"
    assert len(set(study.runs.values())) == len(study.runs)


def _wait_for_growth(journal: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the process has written something: killing it while Python starts proves nothing."""
    before = journal.stat().st_size if journal.exists() else 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.stat().st_size > before:
            return
        time.sleep(0.05)
