"""Freezing: what is written, that it is always the same, and what a person is told about the data."""

from __future__ import annotations

import datetime
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tunewright.domain.errors import DataError, TunewrightError
from tunewright.domain.task import DataSource, Metric, RowFormat, TaskSpec
from tunewright.tools.data.freeze import PLACES, freeze
from tunewright.tools.data.rows import Row, load_rows

TOPICS = ("sport", "food", "politics")
ROWS: list[dict[str, Any]] = [
    {"text": f"Message number {i}", "label": TOPICS[i % 3], "origin": {"page": i}} for i in range(200)
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def task(*paths: Path, kind: RowFormat = "label", fields: tuple[str, str] = ("text", "label")) -> TaskSpec:
    return TaskSpec(
        model="tiny",
        sources=tuple(DataSource(path=str(path), name=path.stem) for path in paths),
        format=kind,
        input_field=fields[0],
        target_field=fields[1],
        metric=Metric(name="accuracy"),
    )


def splits(folder: Path) -> dict[str, list[Row]]:
    return {side: load_rows(folder / place) for side, place in PLACES.items()}


def everything(folder: Path) -> list[Row]:
    return [row for rows in splits(folder).values() for row in rows]


def test_every_row_is_frozen_once_with_its_source_and_its_other_columns(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.jsonl", ROWS[:150]), write(tmp_path / "two.jsonl", ROWS[150:])
    frozen = freeze(task(one, two), tmp_path / "study", seed=0)
    rows = everything(tmp_path / "study")
    assert {(row["source"], row["input"], row["target"], row["meta"]["origin"]["page"]) for row in rows} == {
        ("one" if i < 150 else "two", row["text"], row["label"], i) for i, row in enumerate(ROWS)
    }
    assert len({row["id"] for row in rows}) == len(rows) == 200
    assert frozen.task.labels == ("food", "politics", "sport")
    assert frozen.profile.rows == 200
    assert [(source.name, source.rows) for source in frozen.profile.sources] == [("one", 150), ("two", 50)]
    for side, place in PLACES.items():
        content = (tmp_path / "study" / place).read_bytes()
        identity = getattr(frozen.data, side)
        assert identity.digest == hashlib.sha256(content).hexdigest()
        assert identity.rows == content.count(b"\n")


def test_the_same_content_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    rows = [*ROWS, *({**row, "text": row["text"].upper() + " ", "origin": None} for row in ROWS[:20])]
    straight, reversed_ = write(tmp_path / "d.jsonl", rows), tmp_path / "other"
    reversed_.mkdir()
    write(reversed_ / "d.jsonl", rows[::-1])
    first = freeze(task(straight), tmp_path / "a", seed=3)
    again = freeze(task(straight), tmp_path / "a", seed=3)
    turned = freeze(task(reversed_ / "d.jsonl"), tmp_path / "b", seed=3)
    assert first == again
    assert first.data == turned.data
    assert first.data != freeze(task(straight), tmp_path / "c", seed=4).data
    assert not list((tmp_path / "a").rglob(".*")), "temporary files were left behind"


def test_copies_are_counted_named_and_kept_together(tmp_path: Path) -> None:
    rows = [*ROWS[:60], *ROWS[:10], {"text": "MESSAGE  number 0", "label": "sport"}]
    frozen = freeze(task(write(tmp_path / "d.jsonl", rows)), tmp_path / "study", seed=0)
    assert frozen.profile.duplicates == 11
    home = {row["id"].split("-")[0]: side for side, rows in splits(tmp_path / "study").items() for row in rows}
    for side, members in splits(tmp_path / "study").items():
        assert {home[row["id"].split("-")[0]] for row in members} == {side}
    ids = {row["id"] for row in everything(tmp_path / "study")}
    assert len(ids) == 71
    assert sum(name.endswith("-2") for name in ids) == 10
    assert sum(name.endswith("-3") for name in ids) == 1


def test_the_test_is_sealed_from_others(tmp_path: Path) -> None:
    freeze(task(write(tmp_path / "d.jsonl", ROWS)), tmp_path / "study", seed=0)
    sealed = tmp_path / "study" / PLACES["test"]
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    assert stat.S_IMODE(sealed.parent.stat().st_mode) == 0o700
    assert sealed.parent != (tmp_path / "study" / PLACES["train"]).parent


def test_chats_end_in_the_answer_that_is_the_target(tmp_path: Path) -> None:
    def chat(number: int) -> dict[str, Any]:
        return {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": f"Question {number}"}]},
                {"role": "assistant", "content": f"Answer {number}"},
                {"role": "user", "content": "Thanks"},
            ]
        }

    shared = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
    path = write(tmp_path / "d.jsonl", [chat(i) for i in range(30)])
    freeze(task(path, kind="chat", fields=("messages", "messages")), tmp_path / "study", seed=0)
    row = next(row for row in everything(tmp_path / "study") if row["target"] == "Answer 7")
    assert row["input"] == "system: Be brief.\n\nuser: Question 7"
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    path = write(tmp_path / "s.jsonl", [shared, *({"conversations": chat(i)["messages"]} for i in range(5))])
    freeze(task(path, kind="chat", fields=("conversations", "conversations")), tmp_path / "other", seed=0)
    assert [row["messages"] for row in everything(tmp_path / "other") if row["target"] == "Hello"] == [
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    ]


def test_an_instruction_goes_on_in_its_input(tmp_path: Path) -> None:
    rows = [{"instruction": f"Add {i}", "input": "to 1" if i % 2 else "", "output": str(i + 1)} for i in range(10)]
    path = write(tmp_path / "d.jsonl", rows)
    freeze(task(path, kind="completion", fields=("instruction", "output")), tmp_path / "study", seed=0)
    frozen = {row["target"]: row for row in everything(tmp_path / "study")}
    assert frozen["4"]["input"] == "Add 3\n\nto 1"
    assert frozen["5"]["input"] == "Add 4"
    assert frozen["4"]["meta"] == {}


def test_labels_that_are_no_text_become_text(tmp_path: Path) -> None:
    rows = [{"text": f"m{i}", "label": value} for i in range(10) for value in (0, 1.5, True, " spaced ")]
    rows = [{**row, "text": f"{row['text']} {n}"} for n, row in enumerate(rows)]
    frozen = freeze(task(write(tmp_path / "d.jsonl", rows)), tmp_path / "study", seed=0)
    assert frozen.task.labels == ("0", "1.5", "spaced", "true")


def test_columns_that_json_cannot_hold_are_kept_in_a_form_it_can(tmp_path: Path) -> None:
    odd = {"at": datetime.datetime(2024, 2, 29), "score": float("nan"), "raw": b"x"}
    rows = [{"text": f"m{i}", "label": TOPICS[i % 3], **odd} for i in range(9)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    freeze(task(tmp_path / "d.parquet"), tmp_path / "study", seed=0)
    assert everything(tmp_path / "study")[0]["meta"] == {
        "at": "2024-02-29T00:00:00",
        "score": None,
        "raw": f"sha256:{hashlib.sha256(b'x').hexdigest()}",
    }


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"text": "a"}, "has no field 'label', only 'text'"),
        ({"text": "a", "label": "  "}, "has an empty 'label'"),
        ({"text": "a", "label": None}, "has an empty 'label'"),
        ({"text": "a", "label": ["sport"]}, "has a list in 'label', expected text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_can_be_skipped(
    tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path / "d.jsonl", [ROWS[0], bad, *ROWS[1:]])
    with pytest.raises(DataError) as caught:
        freeze(task(path), tmp_path / "study", seed=0)
    assert caught.value.message == f"{path} line 2 {reason}"
    assert "--skip-bad-rows" in caught.value.hint
    assert not (tmp_path / "study").exists()
    frozen = freeze(task(path), tmp_path / "study", seed=0, skip_bad_rows=True)
    assert frozen.profile.sources[0].skipped == (f"{path} line 2: {reason}",)
    assert frozen.profile.rows == 200
    assert "1 bad row left out, listed in the report" in frozen.profile.warnings


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ("hello", "has no messages in 'messages'"),
        ([], "has no messages in 'messages'"),
        (["hello"], "message 1 in 'messages' is no object with role and content"),
        ([{"role": "robot", "content": "a"}], "message 1 in 'messages' has the role 'robot'"),
        ([{"role": "user", "content": "a"}], "has no answer of the assistant in 'messages'"),
        ([{"role": "user", "content": {"a": 1}}], "message 1 in 'messages' has a dict as content"),
    ],
)
def test_a_chat_that_cannot_be_used_is_named(tmp_path: Path, messages: Any, reason: str) -> None:
    path = write(tmp_path / "d.jsonl", [{"messages": messages}])
    with pytest.raises(DataError) as caught:
        freeze(task(path, kind="chat", fields=("messages", "messages")), tmp_path / "study", seed=0)
    assert caught.value.message.startswith(f"{path} line 1 {reason}")


def test_a_field_that_is_nowhere_names_those_that_are(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.jsonl", ROWS), write(tmp_path / "two.jsonl", [{"texts": "a", "label": "b"}])
    with pytest.raises(DataError, match=r"one\.jsonl' has no field 'lable'") as caught:
        freeze(task(one, fields=("text", "lable")), tmp_path / "study", seed=0)
    assert caught.value.hint == "did you mean 'label'? choose from 'label', 'text', 'origin'"
    with pytest.raises(DataError, match=r"two\.jsonl' has no field 'text'") as caught:
        freeze(task(one, two), tmp_path / "study", seed=0)
    assert "did you mean 'texts'?" in caught.value.hint


def test_one_label_is_no_task(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", [{**row, "label": "sport"} for row in ROWS])
    with pytest.raises(DataError, match="every row has the same 'label': 'sport'"):
        freeze(task(path), tmp_path / "study", seed=0)


def test_a_label_seen_once_trains_and_is_mentioned(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", [*ROWS, {"text": "the only one", "label": "rare"}])
    frozen = freeze(task(path), tmp_path / "study", seed=0)
    assert [side for side, rows in splits(tmp_path / "study").items() if any(r["target"] == "rare" for r in rows)] == [
        "train"
    ]
    assert "label 'rare' seen once, so trained on and never measured" in frozen.profile.warnings


def test_the_profile_says_what_a_person_should_know(tmp_path: Path) -> None:
    rows = [*ROWS[:50], *[ROWS[0]] * 200, {"text": "", "label": "food"}, {"text": "message NUMBER 1", "label": "Food"}]
    rows += [{"text": "x" * 1000, "label": "food"}]
    profile = freeze(task(write(tmp_path / "d.jsonl", rows)), tmp_path / "study", seed=0).profile
    assert profile.duplicates == 200 + 1
    assert profile.empty == 1
    assert profile.characters == (21, 25, 1004)
    assert profile.labels == {"Food": 1, "food": 19, "politics": 16, "sport": 217}
    assert "1 row with an empty input" in profile.warnings
    assert "1 input with more than one target" in profile.warnings
    assert "labels 'Food' and 'food' differ in case or spacing only" in profile.warnings
    assert any(warning.endswith("intervals will be wide") for warning in profile.warnings)
    few = next(warning for warning in profile.warnings if "fewer than 5" in warning)
    assert few == "4 labels with fewer than 5 rows in val: their accuracy will be noisy"


def test_copies_among_the_measured_rows_are_mentioned(tmp_path: Path) -> None:
    rows = [{**row, "text": f"message {i % 40}"} for i, row in enumerate(ROWS * 5)]
    path = write(tmp_path / "d.jsonl", [{**row, "label": TOPICS[int(row["text"].split()[1]) % 3]} for row in rows])
    warnings = freeze(task(path), tmp_path / "study", seed=0).profile.warnings
    assert any("intervals will be too narrow" in warning for warning in warnings)


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", ROWS)
    (tmp_path / "study").write_text("a file where the folder should be")
    with pytest.raises(TunewrightError, match="could not write the frozen data") as caught:
        freeze(task(path), tmp_path / "study", seed=0)
    assert "TUNEWRIGHT_HOME" in caught.value.hint


def test_rows_that_freeze_did_not_write_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", [{"id": "a", "input": "b"}])
    with pytest.raises(DataError, match="line 1 is not a frozen row"):
        load_rows(path)
    with pytest.raises(DataError, match=r"could not read the frozen rows of 'gone\.jsonl'"):
        load_rows(tmp_path / "gone.jsonl")
