"""Sources of several formats in one study: what is measured, what is trained on alone, and what may not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.domain.errors import DataError
from tunewright.domain.task import DataSource, Fields, Metric, RowFormat, TaskSpec
from tunewright.tools.data.freeze import PLACES, FrozenData, freeze
from tunewright.tools.data.layout import Layout, inspect
from tunewright.tools.data.raw_text import pieces
from tunewright.tools.data.rows import Row, load_rows

TOPICS = ("sport", "food", "politics")
LABELLED = [{"text": f"Message number {i}", "label": TOPICS[i % 3]} for i in range(60)]
PAIRS = [{"prompt": f"Question {i}?", "chosen": f"yes {i}", "rejected": f"not {i}"} for i in range(20)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def source(path: Path, form: RowFormat | None = None, **own: Any) -> DataSource:
    return DataSource(path=str(path), name=path.stem, format=form, **own)


def label_task(*sources: DataSource) -> TaskSpec:
    return TaskSpec(
        model="tiny", sources=sources, format="label", input_field="text", target_field="label",
        metric=Metric(name="accuracy"), max_length=64,
    )  # fmt: skip


def frozen(folder: Path, *sources: DataSource, **own: Any) -> tuple[FrozenData, dict[str, list[Row]]]:
    made = freeze(label_task(*sources), folder / "study", seed=0, **own)
    return made, {side: load_rows(folder / "study" / place) for side, place in PLACES.items()}


def test_a_source_of_another_format_is_trained_on_and_never_measured(tmp_path: Path) -> None:
    main, pairs = write(tmp_path / "main.jsonl", LABELLED), write(tmp_path / "pairs.jsonl", PAIRS)
    alone, without = frozen(tmp_path, source(main))
    made, rows = frozen(tmp_path, source(main), source(pairs, "preference"))
    assert {row["source"] for side in ("val", "test") for row in rows[side]} == {"main"}
    assert sum(row["source"] == "pairs" for row in rows["train"]) == 20
    assert all(("rejected" in row) == (row["source"] == "pairs") for row in rows["train"])
    assert (made.data.val, made.data.test) == (alone.data.val, alone.data.test), "what is measured stays what it is"
    assert rows["train"][: len(without["train"])] == without["train"]
    assert made.task.labels == TOPICS[1:] + TOPICS[:1] and made.profile.labels == alone.profile.labels
    assert made.profile.rows == 80 and [one.rows for one in made.profile.sources] == [60, 20]
    assert made.profile.warnings == alone.profile.warnings


def test_its_rows_come_in_an_order_of_their_own_whatever_the_files_order(tmp_path: Path) -> None:
    main = write(tmp_path / "main.jsonl", LABELLED)
    orders = []
    for rows in (PAIRS, PAIRS[::-1]):
        pairs = write(tmp_path / "pairs.jsonl", rows)
        _, found = frozen(tmp_path, source(main), source(pairs, "preference"))
        orders.append([row["input"] for row in found["train"] if row["source"] == "pairs"])
    assert orders[0] == orders[1] != [row["prompt"] for row in PAIRS]


def test_each_source_has_fields_of_its_own(tmp_path: Path) -> None:
    main = write(tmp_path / "main.jsonl", LABELLED)
    odd = [{"q": f"q{i}", "up": "a", "down": "b"} for i in range(5)]
    fields = Fields(input="q", target="up", contrast="down")
    pairs = write(tmp_path / "pairs.jsonl", odd)
    other = write(tmp_path / "other.jsonl", [{"said": f"said {i}", "kind": TOPICS[i % 3]} for i in range(30)])
    named = source(other, fields=Fields(input="said", target="kind"))
    made, rows = frozen(tmp_path, source(main), named, source(pairs, "preference", fields=fields))
    assert [one.rows for one in made.profile.sources] == [60, 30, 5]
    assert any(row["source"] == "other" for row in rows["val"]), "a file of the task's format is measured"
    with pytest.raises(DataError, match="is to be read as preference, and its columns 'q', 'up', 'down'") as caught:
        frozen(tmp_path, source(main), source(pairs, "preference"))
    assert "prompt, chosen, rejected" in caught.value.hint


def test_general_data_is_never_measured(tmp_path: Path) -> None:
    main = write(tmp_path / "main.jsonl", LABELLED)
    chats = write(tmp_path / "chats.jsonl", [{"prompt": f"p{i}", "completion": f"c{i}"} for i in range(30)])
    made, rows = frozen(tmp_path, source(main), source(chats, "completion", general=True))
    assert {row["source"] for side in ("val", "test") for row in rows[side]} == {"main"}
    assert made.profile.sources[1].rows == 30


def test_what_is_measured_is_kept_out_of_what_is_trained_on_alone(tmp_path: Path) -> None:
    main = write(tmp_path / "main.jsonl", LABELLED)
    _, before = frozen(tmp_path, source(main))
    held = [row for side in ("val", "test") for row in before[side]]
    trained = before["train"][0]["input"]
    leaks = [
        {"prompt": held[0]["input"].upper() + " ", "chosen": "a", "rejected": "b"},
        {"prompt": [{"role": "system", "content": "Hm"}, {"role": "user", "content": held[1]["input"]}],
         "chosen": "a", "rejected": "b"},
        {"prompt": trained, "chosen": "a", "rejected": "b"},
    ]  # fmt: skip
    pairs = write(tmp_path / "pairs.jsonl", [*PAIRS, *leaks])
    notes = write(tmp_path / "notes.jsonl", [{"text": held[2]["input"]}, {"text": "Something else"},
                                             {"text": f"{held[3]['input']}  {held[3]['target']}"}])  # fmt: skip
    made, rows = frozen(tmp_path, source(main), source(pairs, "preference"), source(notes, "text"))
    assert [(one.rows, one.withheld) for one in made.profile.sources] == [(60, 0), (21, 2), (1, 2)]
    assert "2 rows of 'pairs' left out: their content is in val or test" in made.profile.warnings
    assert "2 rows of 'notes' left out: their content is in val or test" in made.profile.warnings
    measured = {row["input"].lower() for row in held}
    assert not measured & {row["input"].lower().strip() for row in rows["train"]}
    assert any(row["input"] == trained and row["source"] == "pairs" for row in rows["train"])


def test_a_study_needs_rows_of_its_task(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(DataError, match="no source has rows of the task, which is of format label"):
        frozen(tmp_path, source(pairs, "preference"))


def test_plain_text_is_cut_into_pieces_that_an_example_holds(tmp_path: Path) -> None:
    main = write(tmp_path / "main.jsonl", LABELLED)
    text = "\n\n".join(f"Paragraph {i} says what {i} others say, and then some more." for i in range(30))
    notes = tmp_path / "notes.txt"
    notes.write_text(text)
    made, rows = frozen(tmp_path, source(main), source(notes, "text"))
    found = [row for row in rows["train"] if row["source"] == "notes"]
    assert made.profile.sources[1].rows == len(found) > 5
    assert all(row["raw"] is True and row["input"] == "" and len(row["target"]) <= 3 * 64 for row in found)
    assert sorted(" ".join(row["target"] for row in found).split()) == sorted(text.split())
    assert "1 row with an empty input" not in " ".join(made.profile.warnings)


def test_a_task_of_raw_text_is_split_by_the_text(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("\n\n".join(f"Paragraph {i} is about {i} things." for i in range(60)))
    facts = inspect(notes)
    assert facts.layout == Layout(format="text", input_field="text", target_field="text")
    task = TaskSpec(
        model="tiny", sources=(source(notes),), format="text", input_field="text", target_field="text",
        metric=Metric(name="perplexity"), max_length=16,
    )  # fmt: skip
    made = freeze(task, tmp_path / "study", seed=0)
    assert min(made.data.train.rows, made.data.val.rows, made.data.test.rows) > 0
    assert made.profile.empty == 0 and not any("target" in warning for warning in made.profile.warnings)


def test_a_file_with_one_column_of_text_is_raw_text(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", [{"text": "one"}, {"text": "two"}])
    assert inspect(path).layout == Layout(format="text", input_field="text", target_field="text")
    path = write(tmp_path / "d.jsonl", [{"text": "one", "n": 1}])
    layout = inspect(path).layout
    assert layout is None or layout.format != "text"
    latin = tmp_path / "d.txt"
    latin.write_bytes("ok\ncaf\xe9".encode("latin-1"))
    with pytest.raises(DataError, match=r"d\.txt line 2 is not UTF-8"):
        inspect(latin)
    latin.write_bytes(b" \n\n")
    with pytest.raises(DataError, match="is empty"):
        inspect(latin)


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("one two three", 20, ["one two three"]),
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 7, ["one two", "three"]),
        ("  one  ", 3, ["one"]),
        ("abcdefgh ij", 3, ["abc", "def", "gh", "ij"]),
        ("aa bb\n\ncc dd ee", 9, ["aa bb\n\ncc", "dd ee"]),
        ("aaaaaa bbbbbb\n\ncc dd ee", 16, ["aaaaaa bbbbbb", "cc dd ee"]),
        ("", 5, []),
        (" \n ", 5, []),
    ],
)
def test_pieces(text: str, size: int, expected: list[str]) -> None:
    assert pieces(text, size) == expected
    assert "".join("".join(expected).split()) == "".join(text.split())


def test_a_file_of_the_task_may_be_trained_on_alone(tmp_path: Path) -> None:
    main = write(tmp_path / "main.jsonl", LABELLED)
    alone, before = frozen(tmp_path, source(main))
    held = before["val"][0]
    crowd = [{"text": f"Said {i}", "label": "weather"} for i in range(20)]
    leak = {"text": held["input"], "label": "food"}
    other = write(tmp_path / "crowd.jsonl", [*crowd, leak])
    made, rows = frozen(tmp_path, source(main), source(other, measured=False))
    assert (made.data.val, made.data.test) == (alone.data.val, alone.data.test)
    assert sum(row["source"] == "crowd" for row in rows["train"]) == 20, "all but the row that is measured"
    assert made.task.labels == (*alone.task.labels, "weather"), "its labels are labels of the task"
    _, counted = frozen(tmp_path, source(main), source(other))
    assert any(row["source"] == "crowd" for row in counted["val"])
