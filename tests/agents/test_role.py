"""What a file is for, said in plain words: measured by default, trained on alone, general data, or held out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.briefs import TOPICS, read, write

from tunewright.domain.errors import BriefError

END = " with their label. At most 9 minutes."
THREE = "Teach tiny to label a.jsonl, b.jsonl and c.jsonl" + END


@pytest.fixture(autouse=True)
def files(folder: Path) -> Path:
    for name in ("a", "b", "c", "deep/d"):
        write(folder / f"{name}.jsonl", [{"text": f"{name} {i}", "label": TOPICS[i % 3]} for i in range(30)])
    return folder


def roles(text: str) -> dict[str, str]:
    return {
        source.name: "general" if source.general else "measured" if source.measured else "trained"
        for source in read(text).task.sources
    }


@pytest.mark.parametrize(
    ("text", "trained"),
    [
        (THREE, ""),
        (THREE + " c.jsonl is for training only.", "c"),
        (THREE + " c.jsonl is trained on and never measured.", "c"),
        (THREE + " Never measure on c.jsonl.", "c"),
        (THREE + " Do not evaluate it on b.jsonl or c.jsonl.", "b c"),
        (THREE + " b.jsonl and c.jsonl are for training only.", "b c"),
        (THREE + " Measure on a.jsonl and b.jsonl.", "c"),
        (THREE + " Evaluate on a.jsonl only.", "b c"),
        ("Teach tiny to label a.jsonl, b.jsonl and c.jsonl (training only)" + END, "c"),
        ("Teach tiny to label a.jsonl, b.jsonl and `deep/d.jsonl`" + END + " d.jsonl is only for training.", "d"),
        ("Teach tiny to label a.jsonl and b.jsonl, never testing on b.jsonl," + END, "b"),
    ],
)
def test_files_for_training_only(text: str, trained: str) -> None:
    found = roles(text)
    assert {name for name, role in found.items() if role == "trained"} == set(trained.split())
    assert "general" not in found.values() and "a" in found
    assert not [phrase for phrase in read(text).unused if "train" in phrase]


def test_it_is_said(folder: Path) -> None:
    assert "c.jsonl is trained on and never measured" in read(THREE + " c.jsonl is for training only.").notes


@pytest.mark.parametrize(
    "text",
    [
        "Teach tiny to label a.jsonl" + END + " Mix in 20% general data from b.jsonl.",
        "Teach tiny to label a.jsonl" + END + " b.jsonl is general data, mix in 20% general data.",
    ],
)
def test_general_data(text: str) -> None:
    assert roles(text) == {"a": "measured", "b": "general"}
    assert read(text).wishes.replay == 0.2


def test_a_file_that_is_named_to_measure_on_alone_is_not_used(folder: Path) -> None:
    reading = read("Teach tiny to label a.jsonl" + END + " Validate on b.jsonl and c.jsonl.")
    assert [(one.name, one.measured) for one in reading.task.sources] == [("a", True)]
    assert sum("is not used" in note for note in reading.notes) == 2


def test_the_task_is_read_from_what_is_measured(folder: Path) -> None:
    write(folder / "odd.jsonl", [{"prompt": f"p{i}", "completion": f"c{i} and so on"} for i in range(20)])
    reading = read("General data from odd.jsonl, 10% general data. Label a.jsonl. At most 9 minutes.")
    assert (reading.task.input_field, reading.task.target_field, reading.task.format) == ("text", "label", "label")


def test_something_has_to_be_measured() -> None:
    with pytest.raises(BriefError, match=r"no file left to measure on: a\.jsonl is for training only"):
        read("Teach tiny to label a.jsonl" + END + " a.jsonl is for training only.")


def test_general_data_needs_a_file_and_a_share() -> None:
    with pytest.raises(BriefError, match="20% of general data is asked for, and no file is named"):
        read("Teach tiny to label a.jsonl" + END + " Mix in 20% general data.")
    reading = read("Teach tiny to label a.jsonl" + END + " b.jsonl is general data.")
    assert "b.jsonl is not mixed in: how much of it is not said, such as '10% general data'" in reading.notes
