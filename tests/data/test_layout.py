"""Which column is what: by names, by values, and not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.tools.data.layout import Layout, context_field, detect, inspect


def found(rows: list[dict[str, Any]]) -> tuple[str, str, str] | None:
    layout = detect(tuple(rows[0]), rows)
    return (layout.format, layout.input_field, layout.target_field) if layout else None


TOPICS = ["sport", "politics", "food"]
LABELLED = [{"n": str(i), "said": f"some longer message, the number {i}", "kind": TOPICS[i % 3]} for i in range(60)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": "a", "label": "x"}, ("label", "text", "label")),
        ({"id": 1, "message": "a", "topic": "x"}, ("label", "message", "topic")),
        ({"Text": "a", "Category": "x"}, ("label", "Text", "Category")),
        ({"prompt": "a", "completion": "b"}, ("completion", "prompt", "completion")),
        ({"question": "a", "answer": "b", "source": "s"}, ("completion", "question", "answer")),
        ({"instruction": "a", "input": "b", "output": "c"}, ("completion", "instruction", "output")),
        ({"messages": [{"role": "user", "content": "a"}]}, ("chat", "messages", "messages")),
        ({"conversations": [{"from": "human", "value": "a"}]}, ("chat", "conversations", "conversations")),
        ({"chat": "plain text", "text": "a", "label": "b"}, ("label", "text", "label")),
        ({"a": 1, "b": 2}, None),
    ],
)
def test_names_say_it(row: dict[str, Any], expected: tuple[str, str, str] | None) -> None:
    assert found([row]) == expected


def test_values_say_it_where_names_do_not() -> None:
    assert found(LABELLED) == ("label", "said", "kind")
    assert found([{"said": f"message {i}", "other": f"reply {i}"} for i in range(60)]) is None


def test_a_label_column_that_never_repeats_is_free_text() -> None:
    rows = [{"text": f"message {i}", "label": f"an answer of its own, {i}"} for i in range(60)]
    assert found(rows) == ("completion", "text", "label")
    few = [{"text": f"message {i}", "label": f"label {i}"} for i in range(5)]
    assert found(few) == ("label", "text", "label")


def test_many_labels_are_still_labels() -> None:
    rows = [{"text": f"message {i}", "intent": f"intent {i % 77}"} for i in range(150)]
    assert found(rows) == ("label", "text", "intent")


def test_the_instruction_goes_on_in_its_input() -> None:
    assert context_field(("instruction", "input", "output"), "instruction") == "input"
    assert context_field(("instruction", "output"), "instruction") is None
    assert context_field(("question", "input", "answer"), "question") is None


def test_inspection_passes_over_bad_lines_that_freezing_will_report(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in LABELLED) + "not json\n")
    facts = inspect(path)
    assert facts.rows == 60
    assert facts.columns == ("n", "said", "kind")
    assert facts.layout == Layout(format="label", input_field="said", target_field="kind")
    assert facts.labels == 3
    assert facts.examples[0] == {"n": "0", "said": "some longer message, the number 0", "kind": "sport"}
