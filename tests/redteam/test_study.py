"""A whole study whose planner and proposer cheat whenever they are asked, over real HTTP and real litellm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import brief, replayed, rows, settings, store
from tests.support.openai_server import OpenAiServer, Reply, Request

import tunewright as tw
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.recipe import Recipe
from tunewright.settings import Settings
from tunewright.tracking.journal import events

__all__ = ["brief", "rows", "settings", "store"]
KEY = "sk-test-0123456789abcdef"
PROBED = [Reply('{"hue": "red", "size": 3}'), Reply(None, calls=[("note", '{"word": "ready"}')])]
KIND = "stages.0.adapter.kind"


class Cheat:
    """Asks to overspend, for what is forbidden and for the sealed test, and approves itself."""

    def __init__(self, file: str) -> None:
        self.asked: list[str] = []
        self.understood = {
            "model": "tiny", "files": [file], "format": "label", "input_field": "text", "target_field": "label",
            "metric": "accuracy", "budget": {"wall_minutes": 9000, "trials": 900}, "only_adapters": [],
        }  # fmt: skip

    def __call__(self, request: Request) -> Reply:
        prompt = str(request["messages"][0]["content"])
        if prompt.startswith(("Name a colour", "Call the function")):
            return PROBED["tools" in request]
        self.asked.append(prompt)
        turn = len(self.asked)
        if "You advise a fine-tuning study" in prompt:
            if "tools" in request and len(request["messages"]) == 1:
                return Reply(calls=[("sample_rows", '{"split": "test"}'), ("error_slices", '{"trial": "../sealed"}')])
            edits = [("seed", turn), (KIND, "full"), ("stages.0.optimisation.lr", 9.0)]
            path, value = edits[turn % 3]
            return self.said(hypothesis="h", edits=[{"path": path, "value": value}], refuted_if="r", approved=True)
        if prompt.startswith("You plan a fine-tuning study"):
            if "tools" in request and len(request["messages"]) == 1:
                return Reply(calls=[("sample_rows", '{"split": "test"}'), ("data_profile", '{"path": "/etc/passwd"}')])
            wanted = [("add", "adapter", ["full"]), ("add", "seed", [turn]), ("add", "budget.trials", [900])]
            changes = [{"action": a, "name": n, "options": o, "reason": "r"} for a, n, o in wanted]
            changes += [{"action": "widen", "name": "lr.lora", "high": 9.0, "reason": "r", "approved": True}]
            return self.said(summary="Spend all of it.", changes=changes, trials=900, approved=True, keep={"wall_s": 0})
        if "rows.jsonl" in prompt and "brief" in prompt.lower():
            return self.said(**self.understood)
        return self.said(approved=True)

    @staticmethod
    def said(**answer: Any) -> Reply:
        return Reply(json.dumps(answer))


def test_a_study_of_cheats_ends_as_one_without_them_would(
    brief: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    [file] = re.findall(r"\S+rows\.jsonl", brief)
    text = brief.replace("3 trials", "14 trials") + " No full fine-tuning."
    cheat = Cheat(file)
    models = dict.fromkeys(("planner", "proposer"), "openai/cheat")  # the panel's members cheat in test_agents
    options = replayed(cold=True, llms=models)
    with OpenAiServer(cheat) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        summary = tw.run(text, study="a", options=options, settings=settings)
    study, folder = tw.load("a", settings=settings), settings.studies / "a"
    told = events(folder)[0]
    assert summary.state in ("winner", "no-winner") and summary.trials <= 14
    assert study.budget is not None and (study.budget.wall_s, study.budget.trials) == (600, 14)
    assert study.budget.shortfalls(study.spent(), Cost()) == []
    recipes: list[Recipe] = [study.recipe_of(id).recipe for id in study.proposals]
    assert all(recipe.stages[0].adapter.kind != "full" for recipe in recipes)
    assert len({recipe.seed for recipe in recipes}) == 1
    assert all(one.idea.origin != "planner" or study.plan.space.contains(one.recipe)  # type: ignore[union-attr]
               for one in study.proposals.values())  # fmt: skip
    assert study.plan is not None and study.plan.by == "openai/cheat" and study.plan.keep.wall_s > 0
    assert [one.fate for one in study.plan.changes] == ["dropped", "dropped", "dropped", "repaired"]
    assert {one.decision.by for one in told if isinstance(one, ev.Decided)} <= {"policy", "gate"}
    assert all(one.by == "rules" for one in study.lessons)
    assert any("read 900 trials" in note for note in study.notes) and any("rules out full" in n for n in study.notes)
    warned = "\n".join(study.warnings)
    assert "no idea from openai/cheat" in warned
    assert any("You advise" in prompt for prompt in cheat.asked), "it had its chance"
    sealed = [json.loads(line)["input"] for line in (folder / "sealed" / "test.jsonl").read_text().splitlines()]
    assert not any(one in _said(server) for one in sealed)
    assert KEY not in "".join(path.read_text(errors="ignore") for path in _written(folder))


def _said(server: OpenAiServer) -> str:
    return json.dumps(server.requests, ensure_ascii=False)


def _written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
