"""Rows with answers to compare or to judge, in the forms in which people keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.domain.errors import DataError
from tunewright.domain.task import DataSource, Fields, Metric, TaskSpec
from tunewright.tools.data.freeze import PLACES, freeze
from tunewright.tools.data.layout import Layout, detect, detect_as
from tunewright.tools.data.rows import Row, load_rows

SHORT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
MORE = [*SHORT, {"role": "user", "content": "Bye"}]


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def study(folder: Path, rows: list[dict[str, Any]], *, skip: bool = False) -> tuple[list[Row], Any]:
    """The rows frozen as a task of their own, by the fields that were found in them."""
    path = folder / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    layout = detect(tuple(dict.fromkeys(name for row in rows for name in row)), rows)
    assert layout is not None
    task = TaskSpec(
        model="tiny",
        sources=(DataSource(path=str(path), name="d"),),
        format=layout.format,
        input_field=layout.input_field,
        target_field=layout.target_field,
        contrast_field=layout.contrast_field,
        metric=Metric(name="preference_accuracy"),
    )
    frozen = freeze(task, folder / "study", seed=0, skip_bad_rows=skip)
    return [row for place in PLACES.values() for row in load_rows(folder / "study" / place)], frozen


def one(folder: Path, row: dict[str, Any]) -> Row:
    """A row as it is frozen among others of its kind."""
    others = [
        {"prompt": f"p{i}", "chosen": f"c{i}", "rejected": f"r{i}"}
        if "rejected" in row
        else {"prompt": f"p{i}", "completion": f"c{i}", "label": bool(i % 2)}
        for i in range(4)
    ]
    missing = {name: None for name in others[0] if name not in row}
    if "prompt" in missing and "question" not in row:
        others = [{"chosen": f"Say {i}: good", "rejected": f"Say {i}: bad"} for i in range(4)]
    rows, _ = study(folder, [row, *([] if "question" in row else others)])
    marked = row.get("mark")
    return next(found for found in rows if found["meta"].get("mark") == marked)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, ("prompt", "chosen", "rejected")),
        ({"question": "a", "chosen": "b", "rejected": "c"}, ("question", "chosen", "rejected")),
        ({"instruction": "a", "input": "x", "chosen": "b", "rejected": "c"}, ("instruction", "chosen", "rejected")),
        ({"Prompt": "a", "Chosen": "b", "Rejected": "c"}, ("Prompt", "Chosen", "Rejected")),
        ({"prompt": "a", "winner": "b", "loser": "c"}, ("prompt", "winner", "loser")),
        ({"chosen": "b", "rejected": "c"}, ("chosen", "chosen", "rejected")),
        ({"messages": SHORT, "prompt": "Hi", "chosen": SHORT, "rejected": SHORT}, ("prompt", "chosen", "rejected")),
    ],
)
def test_two_answers_are_known_by_their_names(row: dict[str, Any], expected: tuple[str, str, str]) -> None:
    layout = detect(tuple(row), [row])
    assert layout is not None and layout.format == "preference"
    assert (layout.input_field, layout.target_field, layout.contrast_field) == expected


@pytest.mark.parametrize(
    ("values", "name", "form"),
    [
        ([True, False], "label", "judged"),
        (["good", "Bad "], "label", "judged"),
        (["desirable", "undesirable"], "judgement", "judged"),
        ([1, 0], "label", "label"),
        (["1", "0"], "label", "label"),
        (["sport", "food"], "label", "label"),
        ([True, None], "label", "label"),
    ],
)
def test_an_answer_is_judged_where_words_say_so(values: list[Any], name: str, form: str) -> None:
    rows = [{"prompt": f"a{i}", "completion": f"b{i}", name: value} for i, value in enumerate(values)]
    layout = detect(tuple(rows[0]), rows)
    assert layout is not None and layout.format == form
    sure = detect_as("judged", tuple(rows[0]), rows)
    assert sure == Layout(format="judged", input_field="prompt", target_field="completion", contrast_field=name)


def test_a_text_with_a_truth_value_is_labelled_and_not_judged() -> None:
    rows = [{"text": f"a{i}", "label": bool(i % 2)} for i in range(30)]
    layout = detect(("text", "label"), rows)
    assert layout is not None and layout.format == "label"


def test_a_prompt_in_its_own_column(tmp_path: Path) -> None:
    row = one(tmp_path, {"prompt": "Say hi", "chosen": "Hi!", "rejected": " No. ", "mark": 1})
    assert (row["input"], row["target"], row["rejected"]) == ("Say hi", "Hi!", " No. ")
    assert row["meta"] == {"mark": 1} and "messages" not in row and "good" not in row


def test_an_instruction_goes_on_in_its_input(tmp_path: Path) -> None:
    rows = [{"instruction": f"Add {i}", "input": "to 1", "chosen": "yes", "rejected": "no"} for i in range(5)]
    found, _ = study(tmp_path, rows)
    assert {row["input"] for row in found} == {f"Add {i}\n\nto 1" for i in range(5)}
    assert all(row["meta"] == {} for row in found)


@pytest.mark.parametrize(
    "given",
    [
        {"chosen": [*SHORT[:1], said("a")], "rejected": [*SHORT[:1], said("b")]},
        {"prompt": "Hi", "chosen": [*SHORT[:1], said("a")], "rejected": [*SHORT[:1], said("b")]},
        {"prompt": SHORT[:1], "chosen": [said("a")], "rejected": [said("b")]},
        {"prompt": SHORT[:1], "chosen": "a", "rejected": "b"},
        {"chosen": "\n\nHuman: Hi\n\nAssistant: a", "rejected": "\n\nHuman: Hi\n\nAssistant: b"},
        {"chosen": "Hi a", "rejected": "Hi b"},
    ],
)
def test_one_question_is_the_input_however_it_is_kept(tmp_path: Path, given: dict[str, Any]) -> None:
    row = one(tmp_path, {**given, "mark": 1})
    assert (row["input"], row["target"], row["rejected"]) == ("Hi", "a", "b")
    assert "messages" not in row


@pytest.mark.parametrize(
    "given",
    [
        {"chosen": [*MORE, said("a")], "rejected": [*MORE, said("b")]},
        {"prompt": MORE, "chosen": [said("a")], "rejected": [said("b")]},
        {"prompt": "Bye", "chosen": [*MORE, said("a")], "rejected": [*MORE, said("b")]},
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant: a",
            "rejected": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant: b",
        },
    ],
)
def test_a_conversation_keeps_its_turns(tmp_path: Path, given: dict[str, Any]) -> None:
    row = one(tmp_path, {**given, "mark": 1})
    assert row["messages"] == [*MORE, said("a")]
    assert (row["target"], row["rejected"]) == ("a", "b")
    assert row["input"] == "user: Hi\n\nassistant: Hello\n\nuser: Bye"


def test_plain_texts_are_divided_between_words(tmp_path: Path) -> None:
    row = one(tmp_path, {"chosen": "Q: who?\nA: nobody", "rejected": "Q: who?\nA: nothing", "mark": 1})
    assert (row["input"], row["target"], row["rejected"]) == ("Q: who?\nA:", "nobody", "nothing")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"prompt": "p", "chosen": "same", "rejected": " same\n"}, "has the same answer in 'chosen' and 'rejected'"),
        ({"prompt": "p", "chosen": "", "rejected": "b"}, "has an empty 'chosen'"),
        ({"prompt": "p", "chosen": "a", "rejected": "  "}, "has an empty 'rejected'"),
        ({"prompt": "p", "chosen": "a", "rejected": None}, "has an empty 'rejected'"),
        ({"prompt": "p", "chosen": "a"}, "has no field 'rejected', only 'prompt', 'chosen'"),
        ({"prompt": "p", "chosen": "a", "rejected": {"a": 1}}, "has a dict in 'rejected', expected text"),
        ({"prompt": "p", "chosen": [{"role": "x"}], "rejected": "b"}, "message 1 in 'chosen' has the role 'x'"),
        ({"prompt": "p", "chosen": [], "rejected": "b"}, "has an empty 'chosen'"),
        (
            {"prompt": "p", "chosen": [*MORE, said("a")], "rejected": [*SHORT[:1], said("b")]},
            "has in 'chosen' other turns before its last answer",
        ),
        ({"prompt": "p", "chosen": SHORT[:1], "rejected": SHORT}, "has in 'chosen' other turns"),
    ],
)
def test_a_malformed_pair_is_named_and_can_be_skipped(tmp_path: Path, bad: dict[str, Any], reason: str) -> None:
    good = [{"prompt": f"p{i}", "chosen": f"c{i}", "rejected": f"r{i}"} for i in range(5)]
    with pytest.raises(DataError) as caught:
        study(tmp_path, [good[0], bad, *good[1:]])
    assert caught.value.message.startswith(f"{tmp_path / 'd.jsonl'} line 2 {reason}"), caught.value.message
    assert "--skip-bad-rows" in caught.value.hint
    rows, frozen = study(tmp_path, [good[0], bad, *good[1:]], skip=True)
    assert len(rows) == 5 and len(frozen.profile.sources[0].skipped) == 1


def test_texts_that_do_not_begin_alike_have_no_prompt(tmp_path: Path) -> None:
    rows = [{"chosen": f"Say {i}: good", "rejected": f"Say {i}: bad"} for i in range(4)]
    with pytest.raises(DataError, match=r"line 5 has no prompt: 'chosen' and 'rejected' do not begin alike"):
        study(tmp_path, [*rows, {"chosen": "yes", "rejected": "no"}])


def test_judgements_in_many_spellings(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    spellings = [True, "good", "Yes", 1, "1", 1.0, "+", False, "bad", "NO", 0, "0", -1, "undesirable"]
    rows = [{"prompt": f"p{i}", "completion": "c", "label": value} for i, value in enumerate(spellings)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = TaskSpec(
        model="tiny",
        sources=(DataSource(path=str(path), name="d"),),
        format="judged",
        input_field="prompt",
        target_field="completion",
        contrast_field="label",
        metric=Metric(name="preference_accuracy"),
    )
    freeze(task, tmp_path / "study", seed=0)
    frozen = {row["input"]: row["good"] for p in PLACES.values() for row in load_rows(tmp_path / "study" / p)}
    assert [frozen[f"p{i}"] for i in range(14)] == [True] * 7 + [False] * 7


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"prompt": "p", "completion": "c", "label": "maybe"}, "has 'maybe' in 'label', expected true or false"),
        ({"prompt": "p", "completion": "c", "label": None}, "has None in 'label', expected true or false"),
        ({"prompt": "p", "completion": "c", "label": 0.5}, "has 0.5 in 'label', expected true or false"),
        ({"prompt": "p", "completion": " ", "label": True}, "has an empty 'completion'"),
        ({"prompt": "p", "completion": SHORT[:1], "label": True}, "has no answer of the assistant in 'completion'"),
    ],
)
def test_a_malformed_judgement_is_named(tmp_path: Path, bad: dict[str, Any], reason: str) -> None:
    source = tmp_path / "d.jsonl"
    good = {"prompt": "q", "completion": "c", "label": True}
    source.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n")
    task = TaskSpec(
        model="tiny",
        sources=(DataSource(path=str(source), name="d"),),
        format="judged",
        input_field="prompt",
        target_field="completion",
        contrast_field="label",
        metric=Metric(name="preference_accuracy"),
    )
    with pytest.raises(DataError) as caught:
        freeze(task, tmp_path / "study", seed=0)
    assert caught.value.message.startswith(f"{source} line 2 {reason}")


def test_a_judged_conversation(tmp_path: Path) -> None:
    row = one(tmp_path, {"prompt": MORE, "completion": [said("a")], "label": True, "mark": 1})
    assert row["messages"] == [*MORE, said("a")] and row["good"] is True and row["target"] == "a"


def test_pairs_of_one_prompt_and_one_better_answer_are_different_rows(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i % 5}", "chosen": "c", "rejected": f"r{i}"} for i in range(10)]
    found, frozen = study(tmp_path, rows)
    assert len({row["id"] for row in found}) == 10 and frozen.profile.duplicates == 0
    assert not any("more than one target" in warning for warning in frozen.profile.warnings)


def test_what_may_be_learned_instead_is_mentioned(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "chosen": "a long answer" if i < 18 else "c", "rejected": "no way"} for i in range(20)]
    _, frozen = study(tmp_path, rows)
    expected = "the better answer is the longer one in 18 of 20 pairs: length may be what is learned"
    assert expected in frozen.profile.warnings
    folder = tmp_path / "judged"
    folder.mkdir()
    _, frozen = study(folder, [{"prompt": f"p{i}", "completion": "c", "label": "good"} for i in range(5)])
    assert "every answer of 'd' is good: nothing says what is bad" in frozen.profile.warnings


def test_a_contrast_that_is_not_named_is_the_briefs_mistake(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"prompt": "p", "good": "a", "worse": "b"}) + "\n")
    task = TaskSpec(
        model="tiny",
        sources=(DataSource(path=str(path), name="d"),),
        format="preference",
        input_field="prompt",
        target_field="good",
        metric=Metric(name="preference_accuracy"),
    )
    with pytest.raises(DataError, match="no field is named that says the worse answer") as caught:
        freeze(task, tmp_path / "study", seed=0)
    assert "'worse'" in caught.value.hint
    source = DataSource(path=str(path), name="d", fields=Fields(input="prompt", target="good", contrast="wrose"))
    with pytest.raises(DataError, match="no field 'wrose'") as caught:
        freeze(task.model_copy(update={"sources": (source,)}), tmp_path / "study", seed=0)
    assert "did you mean 'worse'?" in caught.value.hint
