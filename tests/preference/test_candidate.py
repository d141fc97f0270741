"""Prompts and answers as they come in files, and every way in which they cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.domain.errors import DataError
from tunewright.tools.preference.candidate import different, read_candidates


def written(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_prompts_with_answers(tmp_path: Path) -> None:
    file = written(
        tmp_path / "c.jsonl",
        {"prompt": "Two plus two?", "answers": ["four", "five"], "target": "four", "topic": {"n": 1}},
        {"prompt": "Hello", "answers": ["hi"], "target": None},
    )
    read = read_candidates(file)
    assert read.answered and read.alone == 1
    [one] = read.candidates
    assert (one.prompt, one.answers, one.target, one.meta) == (
        "Two plus two?", ("four", "five"), "four", {"topic": {"n": 1}},
    )  # fmt: skip
    assert one.row["target"] == "four" and one.row["input"] == "Two plus two?"


def test_rows_with_the_same_prompt_are_one_and_no_answer_is_there_twice(tmp_path: Path) -> None:
    file = written(
        tmp_path / "c.jsonl",
        {"question": "q", "responses": ["a", " a ", "", "b"]},
        {"question": "r", "responses": ["x", "y"]},
        {"question": "q", "responses": ["b\n", "c"]},
    )
    assert [(one.prompt, one.answers) for one in read_candidates(file).candidates] == [
        ("q", ("a", "b", "c")),
        ("r", ("x", "y")),
    ]


def test_prompts_alone_are_to_be_answered_by_a_model(tmp_path: Path) -> None:
    file = written(tmp_path / "p.jsonl", {"instruction": "Sum up", "input": "a text", "output": "short"})
    read = read_candidates(file)
    assert not read.answered
    assert read.candidates[0].prompt == "Sum up\n\na text"
    assert read.candidates[0].target == "short"


def test_a_column_of_single_answers_is_no_list_of_candidates(tmp_path: Path) -> None:
    read = read_candidates(written(tmp_path / "p.jsonl", {"prompt": "p", "outputs": "one"}))
    assert not read.answered


def test_columns_can_be_named(tmp_path: Path) -> None:
    file = written(tmp_path / "c.jsonl", {"a": "p", "b": ["x", "y"], "c": 3, "prompt": "not this"})
    [one] = read_candidates(file, fields={"prompt": "a", "answers": "b", "target": "c"}).candidates
    assert (one.prompt, one.answers, one.target, one.meta) == ("p", ("x", "y"), "3", {"prompt": "not this"})


@pytest.mark.parametrize(
    ("rows", "fields", "said"),
    [
        ([{"prompt": "p", "answers": ["a", "a "]}], {}, "no prompt with two different answers"),
        ([{"prompt": "p", "answers": ["a", "b"]}, {"prompt": "q", "answers": "a"}], {}, "line 2 has no list"),
        ([{"prompt": "p", "answers": ["a", {"text": "b"}]}], {}, "line 1 has a dict among its 'answers'"),
        ([{"prompt": " ", "answers": ["a", "b"]}], {}, "line 1 has an empty 'prompt'"),
        ([{"prompt": ["p"], "answers": ["a", "b"]}], {}, "line 1 has a list in 'prompt'"),
        ([{"x": "p", "answers": ["a", "b"]}], {}, "no column that looks like a prompt"),
        ([{"prompt": "p"}], {"answers": "replies"}, "no column 'replies'"),
    ],
)
def test_what_cannot_be_used_is_named(rows: list[Any], fields: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_candidates(written(tmp_path / "c.jsonl", *rows), fields=fields)
    assert caught.value.hint


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    file.write_text('{"prompt": "p", "answers": ["a", "b"]}\nnot json\n{"prompt": "q", "answers": [1, 2]}\n')
    assert len(read_candidates(str(file), skip_bad_rows=True).candidates) == 1
    assert read_candidates(str(file), skip_bad_rows=True).skipped == 2
    file.write_text('{"prompt": "", "answers": ["a", "b"]}\n')
    with pytest.raises(DataError, match="all 1 were bad"):
        read_candidates(str(file), skip_bad_rows=True)


def test_different_keeps_the_first_spelling_and_the_order() -> None:
    assert different(["b", " b", "a", "\n", "b "]) == ("b", "a")
