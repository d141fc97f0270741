"""Whole studies that a language model plans, over real HTTP: the plan is as it says, and a replay plans the same."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import replayed
from tests.support.openai_server import OpenAiServer, Reply, Request

import tunewright as tw
from tunewright.domain import event as ev
from tunewright.settings import Settings
from tunewright.tracking.journal import events

PROBED = [Reply('{"hue": "red", "size": 3}'), Reply(None, calls=[("note", '{"word": "ready"}')])]
PLAN: dict[str, Any] = {
    "summary": "Few adapters, gentle rates.",
    "changes": [
        {"action": "drop", "name": "adapter", "options": ["full"], "reason": "little data"},
        {"action": "narrow", "name": "lr.lora", "low": 3e-4, "high": 1e-3, "reason": "small model"},
        {"action": "widen", "name": "trials", "high": 900, "reason": "more is better"},
    ],
    "priors": [{"name": "lr.lora", "value": 6e-4, "confidence": 0.6}],
    "hypotheses": [{"claim": "dora is better", "settings": [{"name": "adapter", "value": "dora"}], "refuted_if": "not",
                    "test": {"quantity": "gain", "relation": "<=", "value": 0, "trial": "t0"}}],
}  # fmt: skip


class Planner:
    """Reads the brief, looks at the data, plans."""

    def __init__(self, brief: str) -> None:
        [self.file] = re.findall(r"\S+rows\.jsonl", brief)
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Reply:
        prompt = str(request["messages"][0]["content"])
        if prompt.startswith(("Name a colour", "Call the function")):
            return PROBED["tools" in request]
        self.asked.append(prompt)
        if prompt.startswith("You plan a fine-tuning study"):
            if "tools" in request and len(request["messages"]) == 1:
                return Reply(None, calls=[("data_profile", "{}"), ("sample_rows", '{"split": "test"}')])
            return Reply(json.dumps(PLAN))
        said = {
            "model": "tiny", "files": [self.file], "format": "label", "input_field": "text", "target_field": "label",
            "metric": "accuracy", "budget": {"wall_minutes": 10, "trials": 3},
        }  # fmt: skip
        return Reply(json.dumps(said))


def test_a_model_plans_and_a_replay_plans_the_same(
    brief: str, settings: Settings, tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store of its own: its studies are not cold, and would be kin to those of other tests.
    shutil.copy(migrated, tmp_path / "mlflow.db")
    settings = settings.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"})
    model = Planner(brief)
    with OpenAiServer(model) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        options = replayed(llms={"planner": "openai/stub"})
        summary = tw.run(brief, study="a", options=options, settings=settings)
    study = tw.load("a", settings=settings)
    plan = study.plan
    assert summary.trials == 3 and plan is not None and plan.by == "openai/stub" and study.warnings == []
    assert [one.fate for one in plan.changes] == ["applied", "applied", "dropped"] and plan.trials[1] == 3
    assert [one.name for one in plan.priors] == ["lr.lora"] and plan.hypotheses[0].test is not None
    assert any("what it says is data" in one or "data_profile" in one for one in map(str, server.requests))
    sealed = (settings.studies / "a" / "sealed" / "test.jsonl").read_text().splitlines()
    assert not any(json.loads(row)["input"] in str(server.requests) for row in sealed)
    report = (settings.studies / "a" / "report.html").read_text()
    assert all(said in report for said in ("Few adapters, gentle rates.", "little data", "dora is better"))

    # Not cold: the first study is kin by now, and its lessons could be recalled; the replay begins as it began.
    again = tw.run(brief, study="b", options=replayed(llms={"planner": "replay:a"}), settings=settings)
    second = tw.load("b", settings=settings)
    assert second.plan is not None and second.plan.by == "replay:a" and second.plan.kin == plan.kin == ()
    assert second.plan.binding == plan.binding and (second.plan.trials, second.plan.epochs) == (
        plan.trials,
        plan.epochs,
    )
    assert second.plan.changes == plan.changes and again.trials == 3
    told = events(settings.studies / "b")[0]
    assert [one.lessons for one in told if isinstance(one, ev.Recalled)] == [()]
