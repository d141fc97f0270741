"""What the rules ask: only where two readings of a brief fit and differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.asking import Desk, says
from tests.agents.briefs import write

from tunewright.domain.errors import UsageError
from tunewright.tools.data.layout import inspect

PLAIN = "Teach tiny to sort rows.jsonl. At most 20 minutes and 6 trials."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(folder: Path, uneven: int = 2, **more: int) -> None:
    """60 rows with a topic that is "rare" once in ``uneven``; further columns by their number of distinct values."""
    write(
        folder / "rows.jsonl",
        [
            {"text": f"row number {at}", "topic": "rare" if at % uneven == 0 else "usual"}
            | {name: f"{name} {at // 7 % count}" for name, count in more.items()}
            for at in range(60)
        ],
    )


def asked(folder: Path, text: str = PLAIN) -> list[tuple[str, str]]:
    study = Desk(folder, text=text).session(lambda study, targets: None)
    return [(one.about, one.assumption) for one in study.doubts.questions]


def test_two_columns_of_labels_and_no_word_of_either(folder: Path) -> None:
    rows(folder, intent=4)
    assert asked(folder) == [("target", "topic")]
    desk = Desk(folder, text=PLAIN)
    study = desk.session(says(q1="intent"))
    assert study.task is not None and study.task.target_field == "intent" and len(desk.asked) == 1
    assert not any(note.startswith("assumed") for note in study.notes)


def test_nobody_there_and_the_first_is_taken_with_a_note(folder: Path) -> None:
    rows(folder, intent=4)
    study = Desk(folder, text=PLAIN).session()
    assert study.task is not None and study.task.target_field == "topic"
    assert any(note.startswith("assumed: topic (asked: Which column") for note in study.notes)


def test_a_column_that_is_not_there_is_no_answer(folder: Path) -> None:
    rows(folder, intent=4)
    with pytest.raises(UsageError, match=r"an answer cannot be used: rows\.jsonl has no column 'mood'"):
        Desk(folder, text=PLAIN).session(says(q1="mood"))


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (PLAIN, {}),
        (PLAIN, {"source": 4}),  # no label's name
        (PLAIN.replace("sort", "sort into topics"), {"intent": 4}),
        (PLAIN.replace("rows.jsonl", "rows.jsonl by their intent"), {"intent": 4}),
        (PLAIN.replace("rows.jsonl", "rows.jsonl (field topic)"), {"intent": 4}),
        (PLAIN, {"intent": 1}),  # says nothing
    ],
)
def test_nothing_is_asked_where_words_or_data_tell(folder: Path, text: str, more: dict[str, int]) -> None:
    rows(folder, **more)
    assert asked(folder, text) == []


def test_a_column_that_says_the_same_in_other_words_is_no_rival(folder: Path) -> None:
    write(
        folder / "rows.jsonl",
        [{"text": f"row {at}", "label": "ab"[at % 2], "category": "AB"[at % 2]} for at in range(60)],
    )
    assert inspect("rows.jsonl").rivals == () and asked(folder) == []


def test_one_label_on_most_rows_and_no_metric(folder: Path) -> None:
    rows(folder, uneven=10)
    assert asked(folder) == [("metric", "accuracy")]
    study = Desk(folder, text=PLAIN).session(says(q1="2"))
    assert study.task is not None and study.task.metric.name == "macro_f1"
    assert not any("no metric is named" in note for note in study.notes)
    assert asked(folder, PLAIN + " Maximise accuracy.") == []
    rows(folder, uneven=4)
    assert asked(folder) == []
