"""``--llm``, read: who answers in which role."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright.agents.brains.choice import chosen, roles
from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.domain.event import ModelsChosen, StudyOptions


def options(found: ModelsChosen) -> StudyOptions:
    return StudyOptions(llm=found.llm, llms=found.llms)


def test_the_roles_are_those_that_the_team_has() -> None:
    assert {"planner", "proposer"} <= set(roles())
    assert "annotator" not in roles() and "probe" not in roles()


def test_a_role_more_is_a_file_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "critics").mkdir()
    (tmp_path / "critics" / "data.py").write_text('"""A critic."""\n\nROLE = "critic.data"\n')
    (tmp_path / "other.py").write_text('_ROLE = "hidden"\nROLES = "none"\n')
    monkeypatch.setattr("tunewright.agents.brains.choice.files", lambda package: tmp_path)
    roles.cache_clear()
    try:
        assert roles() == ("critic", "critic.data")
    finally:
        roles.cache_clear()


@pytest.mark.parametrize(
    ("words", "planner", "proposer"),
    [
        ([], None, None),
        (["openai/a"], "openai/a", "openai/a"),
        (["none"], None, None),
        (["proposer=openai/b"], None, "openai/b"),
        (["openai/a", "proposer=ollama/b:7b"], "openai/a", "ollama/b:7b"),
        (["openai/a", "proposer=none"], "openai/a", None),
        (["scripted:a=b.jsonl"], "scripted:a=b.jsonl", "scripted:a=b.jsonl"),
        (["planner=replay:route-01", "none"], "replay:route-01", None),
        (["proposer=b", "proposer=b"], None, "b"),
    ],
)
def test_what_words_choose(words: list[str], planner: str | None, proposer: str | None) -> None:
    found = options(chosen(words))
    assert (found.model_of("planner"), found.model_of("proposer")) == (planner, proposer)
    assert found.asks_models == (planner is not None or proposer is not None)


@pytest.mark.parametrize("words", [[""], ["planner="], ["two words"], ["a", "b"], ["planner=a", "planner=b"]])
def test_what_is_neither_is_wrong_use(words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(words)
    assert "--llm" in caught.value.hint


def test_an_unknown_role_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        chosen(["propozer=openai/a"])
    assert "did you mean 'proposer'" in caught.value.hint


def test_a_model_for_all_replaces_what_was_and_one_for_a_role_is_added() -> None:
    before = StudyOptions(llm="a", llms={"planner": "p"})
    assert chosen(["none"], before).model_dump(include={"llm", "llms"}) == {"llm": None, "llms": {}}
    assert chosen(["proposer=r"], before).llms == {"planner": "p", "proposer": "r"}
    assert chosen(["proposer=r"], before).llm == "a"


def test_options_of_older_journals_load() -> None:
    assert StudyOptions.model_validate({"llm": "openai/a"}).model_of("planner") == "openai/a"
    assert not StudyOptions.model_validate({"llm": None}).asks_models
