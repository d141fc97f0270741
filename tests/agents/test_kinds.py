"""Briefs whose files are of several kinds: what the task is, what is trained on beside it, what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents.briefs import SCORERS, TOPICS, read, write

from tunewright.domain.errors import DataError
from tunewright.domain.task import Fields, RowFormat

END = " At most 3 trials."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SCORERS, "preference_accuracy", "max")
    write(tmp_path / "rows.jsonl", [{"text": f"m {i}", "label": TOPICS[i % 3]} for i in range(60)])
    write(tmp_path / "pairs.jsonl", [{"prompt": f"p {i}", "chosen": f"c {i}", "rejected": f"r {i}"} for i in range(9)])
    write(tmp_path / "likes.jsonl", [{"prompt": f"p {i}", "completion": "c", "label": i % 2 == 0} for i in range(9)])
    write(tmp_path / "hh.jsonl", [{"chosen": f"Say {i}: yes", "rejected": f"Say {i}: no"} for i in range(9)])
    (tmp_path / "notes.txt").write_text("Some notes.\n\nAnd some more.")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "form", "fields", "metric"),
    [
        ("rows.jsonl", "label", ("text", "label", None), "accuracy"),
        ("pairs.jsonl", "preference", ("prompt", "chosen", "rejected"), "preference_accuracy"),
        ("hh.jsonl", "preference", ("chosen", "chosen", "rejected"), "preference_accuracy"),
        ("likes.jsonl", "judged", ("prompt", "completion", "label"), "preference_accuracy"),
        ("notes.txt", "text", ("text", "text", None), "loss"),
    ],
)
def test_a_file_alone_is_the_task(file: str, form: RowFormat, fields: tuple[Any, ...], metric: str) -> None:
    task = read(f"Teach tiny with {file}.{END}").task
    assert (task.format, task.metric.name) == (form, metric)
    assert (task.input_field, task.target_field, task.contrast_field) == fields
    assert task.sources[0].format is None and task.sources[0].fields is None


def test_the_first_file_is_the_task_and_the_others_are_beside_it() -> None:
    reading = read(f"Teach tiny to label rows.jsonl, with pairs.jsonl and notes.txt.{END}")
    rows, pairs, notes = reading.task.sources
    assert reading.task.format == "label" and rows.format is None
    assert (pairs.format, pairs.fields) == ("preference", Fields(input="prompt", target="chosen", contrast="rejected"))
    assert (notes.format, notes.fields) == ("text", Fields(input="text", target="text"))
    assert any("pairs.jsonl is read as preference" in note for note in reading.notes)


def test_raw_text_is_the_task_only_where_there_is_nothing_else() -> None:
    reading = read(f"Read notes.txt, then teach tiny to label rows.jsonl.{END}")
    assert reading.task.format == "label"
    assert [source.format for source in reading.task.sources] == ["text", None]


def test_accuracy_of_pairs_is_the_share_told_right() -> None:
    reading = read(f"Teach tiny with pairs.jsonl. Maximise accuracy.{END}")
    assert reading.task.metric.name == "preference_accuracy"
    assert any("measured as preference_accuracy" in note for note in reading.notes)
    assert read(f"Teach tiny with pairs.jsonl. Maximise preference accuracy.{END}").task.metric.name == (
        "preference_accuracy"
    )


def test_two_files_of_one_kind_need_the_same_columns(folder: Path) -> None:
    write(folder / "others.jsonl", [{"question": f"p {i}", "chosen": "c", "rejected": "r"} for i in range(9)])
    with pytest.raises(DataError, match=r"others\.jsonl has no column 'prompt'"):
        read(f"Teach tiny with pairs.jsonl and others.jsonl.{END}")
