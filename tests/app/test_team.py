"""The whole team as language models behind real HTTP: what a person sees of each, on the screen and in the report."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.app.conftest import replayed
from tests.support.openai_server import OpenAiServer
from tests.support.pace import Pace
from tests.support.team import Team

import tunewright as tw
from tunewright.cli.closing import closing_lines
from tunewright.cli.view import View
from tunewright.domain import event as ev
from tunewright.domain.live import Live, Said
from tunewright.domain.study import Study
from tunewright.settings import Settings

QUESTION = {
    "text": "Do rare labels count as much as common ones?", "about": "metric", "why": "It decides the metric.",
    "assumption": "every row counts alike: accuracy", "options": ["accuracy", "macro F1"],
}  # fmt: skip


def person(study: Study, targets: Sequence[str]) -> list[tw.Answer]:
    """Answers what is asked, and approves everything."""
    return [
        tw.Answer(target=one, action="answer", text="macro F1")
        if one.startswith("q")
        else tw.Answer(target=one, action="approve")
        for one in targets
    ]


def test_a_team_of_models_is_seen_on_the_screen_in_the_report_and_by_the_next_study(
    rows: Path, settings: Settings, tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store of its own: its studies are not cold, and would be kin to those of other tests.
    shutil.copy(migrated, tmp_path / "mlflow.db")
    settings = settings.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"})
    brief = f"Teach tiny to sort {rows} (field label). At most 10 minutes and 8 trials."
    understood: dict[str, Any] = {
        "model": "tiny", "files": [str(rows)], "format": "label", "input_field": "text", "target_field": "label",
        "budget": {"wall_minutes": 10, "trials": 8},
    }  # fmt: skip
    team, pace = Team(understood, [QUESTION]), Pace(tmp_path / "pace")
    screen = io.StringIO()
    view = View(Console(file=screen, width=240, markup=False, highlight=False, emoji=False))

    def observe(one: ev.Event | Live | Said) -> None:
        view(one)
        pace(one)

    with OpenAiServer(team) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", "none-is-needed")
        options = replayed(review="first", llm="openai/stub", sandbox_options=pace.options)
        summary = tw.run(brief, study="a", options=options, settings=settings, reviewer=person, observer=observe)
    first = tw.load("a", settings=settings)
    view.say(*closing_lines(first, summary, settings))
    seen, report = screen.getvalue(), (settings.studies / "a" / "report.html").read_text()

    assert first.task is not None and first.task.metric.name == "macro_f1", "the person has answered so"
    ideas = [one.idea for one in first.proposals.values() if one.idea.origin == "planner" and one.idea.hypothesis]
    assert ideas and first.lessons and set(team.titles) >= {
        "BriefAnswer", "PlanAnswer", "IdeasAnswer", "ExplanationAnswer", "ReflectionAnswer", "FindingAnswer",
        "JudgeAnswer",
    }  # fmt: skip
    for shown in (seen, report.replace("&#39;", "'")):
        assert QUESTION["text"] in shown and "macro F1" in shown, "questions"
        assert "learn little on few rows" in shown, "the plan's changes with their reasons"
        assert ideas[0].hypothesis is not None and ideas[0].hypothesis.claim in shown, "ideas with their hypotheses"
        assert "gain over" in shown or "gains less than" in shown, "what would refute them"
        assert "is in its settings" in shown, "critics"
        assert all(one.id in shown for one in first.lessons), "lessons"
        assert "language models cost" in shown, "the receipt"

    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    options = replayed(review="first", llm="replay:a")
    tw.run(brief, study="b", options=options, settings=settings, reviewer=person)
    again = tw.load("b", settings=settings)
    assert first.plan is not None and again.plan is not None and again.plan.binding == first.plan.binding
    assert [one.recipe for one in again.proposals.values()] == [one.recipe for one in first.proposals.values()]

    brief = brief.replace("At most", "Maximise macro F1. At most").replace("8 trials", "2 trials")
    sister = tw.load(tw.run(brief, study="c", options=replayed(), settings=settings).study, settings=settings)
    assert sister.plan is not None
    cited = " ".join(sister.plan.notes)
    assert any(f"after {one.id} of " in cited for one in (*first.lessons, *again.lessons))
