"""The planner's own ideas: bounded in number, inside the space, and put back into it where an edit switches it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.stories import Story, play, space, task

from tunewright.agents import toolbox
from tunewright.agents.brains.dialogue import Heard, Question
from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.agents.proposing import planner_ideas, project
from tunewright.agents.risk.share import MOST
from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study

LR = "stages.0.optimisation.lr"
KIND = "stages.0.adapter.kind"
RANK = "stages.0.adapter.r"


def told(trials: int) -> Story:
    """A study in which the sampler has run so many trials of rising rank."""
    story = Story(space=space(), task=task())
    plan = story.study.plan
    assert plan is not None
    recipes = [plan.space.build({**plan.space.default(), "rank": 2 + i}) for i in range(trials)]
    ideas = [Idea.model_validate({"recipe": recipe, "origin": "sampler", "reason": "r"}) for recipe in recipes]
    play(story, lambda study, count: ideas[len(study.proposals) : len(study.proposals) + 1], trials=trials)
    return story


def idea(**edits: Any) -> dict[str, Any]:
    names = {"lr": LR, "kind": KIND, "rank": RANK}
    return {
        "hypothesis": "attention alone is enough.",
        "edits": [{"path": names.get(name, name), "value": value} for name, value in edits.items()],
        "refuted_if": "it scores below t0 by 0.02",
    }


def ask(study: Study, folder: Path, *answers: Any) -> tuple[list[Idea], list[str]]:
    file = folder / "script.jsonl"
    file.write_text("".join(json.dumps({"role": "proposer", "answer": one}) + "\n" for one in answers))
    warnings: list[str] = []
    return planner_ideas(study, ScriptedBrain(file, record=lambda one: None), warn=warnings.append), warnings


def test_an_idea_is_the_incumbents_recipe_with_its_edits(tmp_path: Path) -> None:
    story = told(4)
    (found,), warnings = ask(story.study, tmp_path, idea(lr=1e-3))
    parent = story.study.best()
    assert parent is not None and found.parent == parent.id and found.origin == "planner" and warnings == []
    assert found.recipe.differences(story.study.recipe_of(parent.id).recipe).keys() == {LR}
    assert found.reason == "attention alone is enough; refuted if it scores below t0 by 0.02"


def test_switching_the_adapter_takes_its_own_defaults(tmp_path: Path) -> None:
    story = told(4)
    (found,), _ = ask(story.study, tmp_path, idea(kind="full"))
    plan = story.study.plan
    assert plan is not None and plan.space.contains(found.recipe)
    stage = found.recipe.stages[0]
    assert stage.adapter.kind == "full" and stage.optimisation.lr == 2e-5 and "r" not in stage.adapter.settings


def test_what_stays_valid_is_kept_over_a_switch() -> None:
    plan = told(1).study.plan
    assert plan is not None
    recipe = plan.space.build({**plan.space.default(), "rank": 32, "batch": 8})
    dora = project(plan.space, recipe, {KIND: "dora"}).stages[0]
    assert dora.adapter.settings["r"] == 32 and dora.optimisation.batch_size == 8


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (idea(lr=5.0), "outside"),
        (idea(kind="gpart"), "outside"),
        (idea(rank=3.5), "outside"),
        (idea(**{"stages.0.objective.kind": "dpo"}), "not searched"),
        (idea(seed=3), "not searched"),
        (idea(kind="full", rank=4), "no effect"),
        (idea(rank=2), "proposed before"),
        (idea(), "edits"),
        ("none", "JSON"),
    ],
)
def test_what_does_not_fit_is_dropped_with_a_note(tmp_path: Path, wrong: Any, says: str) -> None:
    ideas, warnings = ask(told(4).study, tmp_path, wrong, wrong, wrong, idea(lr=1e-3))
    assert ideas == [] and len(warnings) == 1 and says in warnings[0]


def test_a_bad_answer_may_be_mended(tmp_path: Path) -> None:
    ideas, warnings = ask(told(4).study, tmp_path, idea(lr=5.0), idea(lr=1e-3))
    assert len(ideas) == 1 and warnings == []


def test_the_share_is_bounded(tmp_path: Path) -> None:
    story = told(3)
    own = 0
    for turn in range(30):
        ideas, _ = ask(story.study, tmp_path, idea(lr=1e-4 + turn * 1e-5))
        own += len(ideas)
        recipe = story.study.proposals["t0"].recipe.reseeded(turn)
        story.propose(ideas or [Idea(recipe=recipe, origin="sampler", reason="r")])
        assert len(ideas) <= 1 and own <= MOST * len(story.study.proposals)
    assert own >= 8


def test_no_ideas_without_a_brain_or_before_a_trial(tmp_path: Path) -> None:
    assert planner_ideas(told(4).study, None) == []
    assert ask(Story(space=space(), task=task()).study, tmp_path, idea(lr=1e-3)) == ([], [])
    assert ask(told(2).study, tmp_path, idea(lr=1e-3)) == ([], [])


class Watched(ScriptedBrain):
    """Keeps what it was asked."""

    def say(self, question: Question) -> Heard:
        questions.append(question)
        return super().say(question)


questions: list[Question] = []


def test_a_model_may_look_at_the_study_before_it_answers(tmp_path: Path) -> None:
    story, script = told(4), tmp_path / "script.jsonl"
    history, wrong = (
        {"name": "trial_history", "arguments": {"limit": 1}},
        {"name": "sample_rows", "arguments": {"rows": 99}},
    )
    entries = [{"role": "proposer", "calls": [history, wrong]}, {"role": "proposer", "answer": idea(lr=1e-3)}]
    script.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    questions.clear()
    (found,) = planner_ideas(story.study, Watched(script, record=lambda one: None), folder=tmp_path, warn=pytest.fail)
    assert found.origin == "planner" and found.recipe.stages[0].optimisation.lr == 1e-3
    assert [tool.name for tool in questions[0].tools] == toolbox.names()
    table, refused = questions[1].past[0].said
    assert "4 of 4 ended trials are like that" in table and "t3: score=" in table
    assert "less than or equal to 20" in refused and "sample_rows" in refused
