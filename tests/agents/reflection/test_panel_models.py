"""The reflection panel with language models: what they say is held to the journal, and they are two rounds at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents.reflection.meeting import LR, brains, diverged, meet, reflected
from tests.agents.test_lessons import story

ANSWER: dict[str, Any] = {
    "outcome": "loss",
    "key_insight": "t1 broke down at 0.0018",
    "root_cause": "learning rate too high",
    "evidence": [{"trial": "t1", "quantity": LR, "value": 0.0018}],
    "lesson": None,
}


def test_a_models_reflection_is_held_to_the_journal(tmp_path: Path) -> None:
    told = story({"score": 0.70}, {"rank": 16, "score": 0.71}, {"lr.lora": 1.8e-3, "fault": "config"})
    good = ANSWER | {"key_insight": "t2 failed at 0.0018"}
    good["evidence"] = [{"trial": "t2", "quantity": LR, "value": 0.0018}]
    warnings: list[str] = []
    found = reflected(meet(told, None, brain=brains(tmp_path, reflection=[good]), warn=warnings.append))
    assert [one.model for one in found.findings[:2]] == ["rules", "scripted:script.jsonl"]
    assert warnings == []


@pytest.mark.parametrize("insight", ["t2 failed at 0.0020", "t9 failed at 0.0018", "it was 7.3 times as hot"])
def test_a_number_or_a_trial_that_is_not_there_drops_it(tmp_path: Path, insight: str) -> None:
    told = story({"score": 0.70}, {"rank": 16, "score": 0.71}, {"lr.lora": 1.8e-3, "fault": "config"})
    bad = ANSWER | {"key_insight": insight, "evidence": [{"trial": "t2", "quantity": LR, "value": 0.0018}]}
    warnings: list[str] = []
    found = reflected(meet(told, None, brain=brains(tmp_path, reflection=[bad]), warn=warnings.append))
    assert all(one.model == "rules" for one in found.findings)
    assert len(warnings) == 1 and "was dropped" in warnings[0]


def test_a_reflection_that_contradicts_the_grade_asks_the_critics(tmp_path: Path) -> None:
    told = story({"score": 0.70}, {"rank": 16, "score": 0.78}, {"rank": 32, "score": 0.85})
    wrong = ANSWER | {"key_insight": "t2 reached 0.85", "outcome": "loss"}
    wrong["evidence"] = [{"trial": "t2", "quantity": "score", "value": 0.85}]
    found = reflected(meet(told, None, brain=brains(tmp_path, reflection=[wrong])))
    assert "takes t2 for something else than its grade: gain" in found.asked


def finding(says: str, **changes: Any) -> dict[str, Any]:
    evidence = [{"trial": "t1", "quantity": LR, "value": 0.0018}]
    return {"found": True, "says": says, "cause": "too hot", "weight": 0.9, "evidence": evidence, **changes}


def test_critics_and_judge_of_models_two_rounds_at_most(tmp_path: Path) -> None:
    told = diverged()
    ruling = {
        "lesson": {
            "claim": "0.0018 broke down (t1)",
            "evidence": [{"trial": "t1", "quantity": LR, "value": 0.0018}],
            "supporting": ["t1"],
            "confidence": 0.9,
        },
        "experiment": {
            "hypothesis": "half the rate holds",
            "parent": "t1",
            "edits": [{"path": LR, "value": 0.0009}],
            "refuted_if": {"quantity": "gain", "relation": "<", "value": 0.01, "trial": "t0"},
        },
    }
    outside = ruling | {"experiment": ruling["experiment"] | {"edits": [{"path": LR, "value": 5.0}]}}
    of = brains(
        tmp_path,
        critic__optimisation=[finding("t1 was too hot at 0.0018"), finding("t1 was too hot at 0.0018")],
        critic__data=[{"found": False}, finding("rows of t1 are 12.5 times as long")],
        judge=[outside, ruling],
    )
    warnings: list[str] = []
    found = reflected(meet(told, ["t1"], brain=of, warn=warnings.append))
    by_model = [(one.by, one.round) for one in found.findings if one.model != "rules"]
    assert by_model == [("critic.optimisation", 1), ("critic.optimisation", 2)]
    assert found.rounds == 2
    assert any("critic.data was dropped" in one for one in warnings)
    assert found.experiment is not None
    assert found.experiment.recipe.stages[0].optimisation.lr == 0.0009
    assert found.experiment.hypothesis is not None and found.experiment.hypothesis.claim == "half the rate holds"
    (lesson,) = [one for one in told.study.lessons if one.by != "rules"]
    assert lesson.confidence == 0.5, "one trial is an anecdote"


def test_models_without_a_valid_answer_leave_it_to_the_rules(tmp_path: Path) -> None:
    told, plain = diverged(), diverged()
    of = brains(tmp_path, reflection=["no"] * 3, judge=["no"] * 3, critic__cost=["no"] * 9)
    warnings: list[str] = []
    found = reflected(meet(told, ["t1"], brain=of, warn=warnings.append))
    assert found.experiment == reflected(meet(plain, ["t1"])).experiment
    assert warnings


# No look-ahead
