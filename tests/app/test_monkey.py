"""Whole studies with a model that answers at random in the form that it is asked for: whatever it says, the study ends
inside its budget, every trial is of the plan's space and approved by who may, the report can be read, and the same
answers played back decide the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.conftest import replayed
from tests.app.test_language_models import decided, told
from tests.support.monkey import Monkey
from tests.support.openai_server import OpenAiServer
from tests.support.pace import Pace

import tunewright as tw
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.settings import Settings


@pytest.mark.parametrize("seed", [20])
def test_a_study_outlives_a_monkey(
    seed: int, brief: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace(tmp_path / "pace")
    text = brief.replace("10 minutes and 3 trials", "10 minutes, 3000000 tokens and 8 trials")
    with OpenAiServer(Monkey(seed)) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", "none-is-needed")
        options = replayed(cold=True, llm="openai/monkey", sandbox_options=pace.options)
        summary = tw.run(text, study="a", options=options, settings=settings, observer=pace)
    study = tw.load("a", settings=settings)
    assert summary.state in ("winner", "no-winner")
    assert summary.budget is not None and summary.budget.shortfalls(summary.spent, Cost()) == []
    assert summary.spent.llm_tokens == sum(server.billed) > 0
    assert study.plan is not None
    assert all(study.plan.space.contains(one.recipe) for one in study.proposals.values())
    reviewed = [one.decision for one in told(settings) if isinstance(one, ev.Decided)]
    assert reviewed and {one.by for one in reviewed} == {"policy"}
    report = (settings.studies / "a" / "report.html").read_text()
    assert not set("\x00\x1b\x9b\u202e") & set(report) and "<script>" not in report
    again = tw.run(text, study="b", options=replayed(cold=True, llm="replay:a"), settings=settings)
    assert decided(tw.load("b", settings=settings)) == decided(study)
    assert (again.state, again.winner, again.best_score) == (summary.state, summary.winner, summary.best_score)
