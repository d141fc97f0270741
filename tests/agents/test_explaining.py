"""Where a gain came from: facts of code, and what is left of a language model's sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.studies import finished

from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.agents.explaining import explain, facts_of
from tunewright.agents.reflection.check import unsupported
from tunewright.domain.outcome import Verdict
from tunewright.domain.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    folder = tmp_path_factory.mktemp("study")
    return finished(folder, trials=4), folder


def first(study: Study) -> Verdict:
    return study.verdicts[0]


def test_facts_are_numbered_and_told_in_sentences(study: tuple[Study, Path]) -> None:
    told, folder = study
    found = explain(told, folder, first(told), None)
    assert [one.id for one in found.facts] == [f"f{number}" for number in range(1, len(found.facts) + 1)]
    assert {"gain", "slice", "forgetting"} <= {one.topic for one in found.facts}
    assert found.by == "rules"
    known = {one.id: one.says for one in found.facts}
    for sentence in found.sentences:
        assert unsupported(sentence.says, [known[id] for id in sentence.cites]) == []


def test_rows_that_are_gone_leave_the_verdict(study: tuple[Study, Path], tmp_path: Path) -> None:
    told, _ = study
    assert [one.topic for one in facts_of(told, tmp_path, first(told))] == ["gain"]


def test_a_models_sentence_that_does_not_check_is_dropped(study: tuple[Study, Path], tmp_path: Path) -> None:
    told, folder = study
    facts = facts_of(told, folder, first(told))
    forgotten = next(one for one in facts if one.topic == "forgetting")
    number = forgotten.says.split()[0]
    answer: dict[str, Any] = {
        "sentences": [
            {"says": f"It forgot {number} rows.", "cites": [forgotten.id]},
            {"says": "It forgot 9999 rows.", "cites": [forgotten.id]},
            {"says": "All is well.", "cites": ["f99"]},
            {"says": "t7 was better.", "cites": [forgotten.id]},
        ]
    }
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"role": "evaluator", "answer": answer}) + "\n")
    warnings: list[str] = []
    brain = ScriptedBrain(script, record=lambda one: None)
    found = explain(told, folder, first(told), brain, warnings.append)
    assert [one.says for one in found.sentences] == [f"It forgot {number} rows."]
    assert found.by == "scripted:script.jsonl"
    assert len(warnings) == 3
