"""A real small model behind a real server, end to end: whatever it answers, the study ends inside its budget with valid
trials."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app.conftest import replayed

import tunewright as tw
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.settings import Settings
from tunewright.tools.models.resolve import resolve
from tunewright.tracking.journal import events

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not os.environ.get("TUNEWRIGHT_LIVE"), reason="takes minutes; set TUNEWRIGHT_LIVE=1 to run it"),
]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, str]]:
    """The model's name and the server's address."""
    pytest.importorskip("fastapi")
    model = str(resolve("smollm2-135m", cache=Path("~/.cache/tunewright").expanduser(), notify=print).path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("transformers")
    options = ["--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([command, "serve", model, *options], env=os.environ | {"HF_HUB_OFFLINE": "1"})
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield model, f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


def test_a_study_with_a_small_model_ends_inside_its_budget(
    served: tuple[str, str], brief: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, base = served
    monkeypatch.setenv("OPENAI_API_BASE", base)
    monkeypatch.setenv("OPENAI_API_KEY", "none-is-needed")
    patient = settings.model_copy(update={"llm_timeout_s": 120, "llm_patience_s": 240, "llm_max_tokens": 64})
    text = brief.replace("10 minutes and 3 trials", "20 minutes, 60000 tokens and 4 trials")
    summary = tw.run(text, study="small", options=replayed(llm=f"openai/{model}"), settings=patient)
    if summary.state == "paused":  # a machine that is busy with other things may make it slower than is waited
        assert "did not answer" in summary.reason
        summary = tw.resume("small", llm=["none"], settings=patient)
    assert summary.state in ("winner", "no-winner") and summary.trials >= 1
    assert summary.budget is not None and summary.budget.shortfalls(summary.spent, Cost()) == []
    assert summary.spent.llm_tokens > 0
    study = tw.load("small", settings=settings)
    assert study.plan is not None
    assert all(study.plan.space.contains(proposal.recipe) for proposal in study.proposals.values())
    told, _ = events(settings.studies / "small")
    [probed] = [one for one in told if isinstance(one, ev.ModelProbed)]
    assert probed.model == f"openai/{model}"
