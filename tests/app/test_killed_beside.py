"""kill -9 while a language model behind real HTTP is about to answer, beside a trial that runs, and resume."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.openai_server import OpenAiServer, Reply, Request
from tests.support.team import Team

import tunewright as tw
from tunewright.domain.event import JobEnded, JobLaunched, ModelAsked, ModelAsking
from tunewright.domain.outcome import Completed, Paused, Pruned
from tunewright.settings import Settings
from tunewright.tracking.journal import events

pytestmark = pytest.mark.timeout(600)
TRIALS = 6
MOMENTS = ("PlanAnswer", "ReflectionAnswer", "IdeasAnswer")
"""What the model is asked for when the study is killed, as each comes for the first time."""
BEFORE = "PlanAnswer"
"""Of these, what is asked before any trial."""
LONG_S = 300.0


class Silent(Team):
    """A team that does not answer the first question of each kind in ``MOMENTS``."""

    def __init__(self, understood: dict[str, Any]) -> None:
        super().__init__(understood)
        self.silent: list[str] = []
        self.asked = threading.Event()

    def __call__(self, request: Request) -> Reply:
        before = len(self.titles)
        reply = super().__call__(request)
        for title in self.titles[before:]:
            if title in MOMENTS and title not in self.silent:
                self.silent.append(title)
                self.asked.set()
                return Reply(reply.content, hang_s=LONG_S)
        return reply


def command(*arguments: str, server: OpenAiServer, settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "TUNEWRIGHT_HOME": str(settings.home),
        "TUNEWRIGHT_CACHE": str(settings.cache),
        "MLFLOW_TRACKING_URI": settings.tracking_uri or "",
        "OPENAI_API_BASE": server.base,
        "OPENAI_API_KEY": "none-is-needed",
    }
    program = str(Path(sys.executable).with_name("tunewright"))
    return subprocess.Popen([program, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_a_study_is_killed_while_a_model_thinks_beside_a_trial(rows: Path, settings: Settings) -> None:
    understood = {
        "model": "tiny", "files": [str(rows)], "format": "label", "input_field": "text", "target_field": "label",
        "metric": "accuracy", "budget": {"wall_minutes": 20, "trials": TRIALS},
    }  # fmt: skip
    brief = f"Teach tiny to label {rows} (field label). Maximise accuracy. At most 20 minutes and {TRIALS} trials."
    options = ["--review", "never", "--sandbox", "replay", "--sandbox-option", "seconds=1.5", "--llm", "openai/stub"]
    folder, team = settings.studies / "killed", Silent(understood)
    beside = 0
    with OpenAiServer(team) as server:
        process = command("run", brief, "--study", "killed", *options, server=server, settings=settings)
        for _ in MOMENTS:
            _wait(team.asked, process)
            beside += team.silent[-1] != BEFORE and _runs(folder)
            process.send_signal(signal.SIGKILL)
            process.wait()
            team.asked.clear()
            process = command("resume", "killed", server=server, settings=settings)
        _, said = process.communicate(timeout=300)
    assert process.returncode in (0, 4), said.decode()[-2000:]
    assert beside, "at least one trial ran beside a question when the study was killed"

    summary, study = tw.status("killed", settings=settings), tw.load("killed", settings=settings)
    told, _ = events(folder)
    assert summary.trials == TRIALS
    ends = collections.Counter(
        one.job for one in told if isinstance(one, JobEnded) and not isinstance(one.outcome, Paused)
    )
    assert set(ends.values()) == {1}, "every job came to its end exactly once"
    assert all(isinstance(job.outcome, Completed | Pruned) for job in study.trials)
    assert any(isinstance(one, JobLaunched) and one.attempt > 1 for one in told), "what ran was begun again"

    asked = {one.call for one in told if isinstance(one, ModelAsked)}
    lost = [one for one in told if isinstance(one, ModelAsking) and one.call not in asked]
    assert len(lost) == len(MOMENTS), "the calls that the kills cut off were held for before they began"
    assert summary.spent.llm_tokens >= sum(server.billed), "what may have been billed counts as spent"
    assert summary.budget is not None and summary.budget.shortfalls(summary.spent, study.reserved()) == []
    assert {"ReflectionAnswer", "IdeasAnswer"} <= set(team.titles)
    assert study.lessons, "what is learned is asked about again"


def _wait(asked: threading.Event, process: subprocess.Popen[bytes]) -> None:
    """Until the question has arrived."""
    deadline = time.monotonic() + 200
    while not asked.wait(0.05):
        assert process.poll() is None, f"it ended before it was killed: {process.communicate()[1].decode()[-2000:]}"
        assert time.monotonic() < deadline, "the question never came"


def _runs(folder: Path) -> bool:
    """Whether a trial is under way."""
    told, _ = events(folder)
    launched = [one.job for one in told if isinstance(one, JobLaunched)]
    ended = [one.job for one in told if isinstance(one, JobEnded)]
    return len(launched) > len(ended)
