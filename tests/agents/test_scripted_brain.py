"""The scripted brain: the same checks and costs as a real one, from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tests.stories import Story, space, task

from tunewright.agents.brains import open_brain
from tunewright.agents.brains.answer import BadAnswerError, parse
from tunewright.agents.brains.guard import budget_guard
from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.errors import BrainError, BudgetError, UsageError
from tunewright.domain.event import ModelAsked, StudyCreated
from tunewright.domain.study import Study
from tunewright.domain.task import Brief


class Answer(BaseModel):
    name: str
    count: int = Field(gt=0)


def script(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_answers_come_role_by_role_in_order_and_are_paid(tmp_path: Path) -> None:
    file = script(
        tmp_path / "s.jsonl",
        {"role": "a", "answer": {"name": "first", "count": 1}, "tokens": 10, "usd": 0.5},
        {"role": "b", "answer": {"name": "other", "count": 1}},
        {"role": "a", "answer": "I think\n```json\n{'name': 'second', 'count': 2}\n```", "tokens": 5},
    )
    asked: list[ModelAsked] = []
    brain = ScriptedBrain(file, record=asked.append)
    assert [brain.structured(role, "?", Answer).name for role in ("a", "a", "b")] == ["first", "second", "other"]
    assert [(one.role, one.cost.llm_tokens, one.valid) for one in asked] == [
        ("a", 10, True),
        ("a", 5, True),
        ("b", 0, True),
    ]
    assert asked[0].cost.usd == 0.5
    with pytest.raises(BrainError, match="no answer for 'a'"):
        brain.structured("a", "?", Answer)


def test_bad_answers_are_tried_three_times_and_paid(tmp_path: Path) -> None:
    bad = {"role": "a", "answer": {"name": "x", "count": 0}, "tokens": 7}
    good = {"role": "a", "answer": {"name": "good", "count": 1}, "tokens": 7}
    asked: list[ModelAsked] = []
    assert ScriptedBrain(script(tmp_path / "a", bad, bad, good), record=asked.append).structured("a", "?", Answer).count
    assert [one.valid for one in asked] == [False, False, True]
    with pytest.raises(BrainError, match="3 tries") as caught:
        ScriptedBrain(script(tmp_path / "b", bad, bad, bad, good), record=asked.append).structured("a", "?", Answer)
    assert "count" in caught.value.hint and sum(one.cost.llm_tokens for one in asked) == 42


def test_a_resumed_study_goes_on_behind_the_answers_already_given(tmp_path: Path) -> None:
    story = Story(space=space(), task=task())
    file = script(tmp_path / "s.jsonl", *({"role": "a", "answer": {"name": str(n), "count": 1}} for n in range(3)))

    def opened() -> str:
        brain = open_brain(f"scripted:{file}", record=story.tell, study=lambda: story.study)
        return brain.structured("a", "?", Answer).name

    assert [opened(), opened(), opened()] == ["0", "1", "2"]


def test_yaml_may_map_roles_to_answers(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("a:\n- {name: x, count: 1}\n- nonsense\n- {name: y, count: 2}\nb:\n")
    brain = ScriptedBrain(file, record=lambda one: None)
    assert [brain.structured("a", "?", Answer).name for _ in range(2)] == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.jsonl", None), ("s.jsonl", "{"), ("s.yaml", "a: [b"), ("s.jsonl", '{"answer": 1}'), ("s.json", '["x"]')],
)
def test_a_script_that_cannot_be_read_is_wrong_use(tmp_path: Path, name: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=name) as caught:
        ScriptedBrain(tmp_path / name, record=lambda one: None)
    assert caught.value.hint


def test_the_budget_is_asked_before_an_answer_is_given(tmp_path: Path) -> None:
    story = Story(space=space(), task=task(), budget=Budget(llm_tokens=100, trials=5))
    entry = {"role": "a", "answer": {"name": "x", "count": 1}, "tokens": 60}
    brain = open_brain(f"scripted:{script(tmp_path / 's', entry, entry)}", record=story.tell, study=lambda: story.study)
    brain.structured("a", "?", Answer)
    with pytest.raises(BudgetError, match="60 asked, 40 left"):
        brain.structured("a", "?", Answer)
    assert story.study.spent().llm_tokens == 60


def test_a_dollar_budget_needs_a_price() -> None:
    story = Story(space=space(), task=task(), budget=Budget(usd=1.0))
    guard = budget_guard(lambda: story.study)
    guard(1000, 0.9)
    with pytest.raises(BudgetError, match="price"):
        guard(1000, None)
    with pytest.raises(BudgetError, match="usd"):
        guard(1000, 1.1)


def test_while_the_brief_is_read_its_own_words_are_the_budget() -> None:
    created = Story(space=space(), task=task()).events[0]
    assert isinstance(created, StudyCreated)
    text = "Teach tiny to label rows.jsonl. At most 500 tokens and 2 trials."
    study = Study([created.model_copy(update={"brief": Brief(text=text)})])
    guard = budget_guard(lambda: study)
    guard(400, None)
    study.fold(ModelAsked(role="planner", model="m", cost=Cost(llm_tokens=400), valid=False))
    with pytest.raises(BudgetError, match="llm_tokens"):
        guard(400, None)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "count": 1}',
        'Here you are: {"name": "x", "count": 1} Enjoy!',
        '```json\n{"name": "x", "count": 1}\n```',
        '<think>{"name": "wrong"}</think>{"name": "x", "count": 1}',
        '{"name": "x", "count": 1,}',
        "{'name': 'x', 'count': 1}",
        "\u201c{\u201cname\u201d: \u201cx\u201d, \u201ccount\u201d: 1}",
        '{"name": "x", "count": "1", "more": null}',
    ],
)
def test_what_models_write_around_json_is_forgiven(text: str) -> None:
    assert parse(text, Answer) == Answer(name="x", count=1)


@pytest.mark.parametrize("text", ["", "no", "[1, 2]", '{"name": "x"', '{"name": {"a": 1}, "count": 1}', "{" * 5000])
def test_what_is_no_answer_is_said(text: str) -> None:
    with pytest.raises(BadAnswerError):
        parse(text, Answer)
