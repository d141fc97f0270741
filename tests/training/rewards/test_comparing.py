"""Rewards that compare an answer with its row, on answers made by hand."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.training.rewards.courts import answers, scores, task

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Reward
from tunewright.tools.contract import FaultError
from tunewright.tools.evaluation.registry import scorer
from tunewright.tools.training.reward import Court
from tunewright.tools.training.rewards.length import overlong
from tunewright.tools.training.rewards.numeric import number
from tunewright.tools.training.scoreboard import check_rewards

LABELLED = Court(task(format="label", labels=("red", "light blue")))


def refused(kind: str, **settings: Any) -> UsageError:
    with pytest.raises(UsageError) as raised:
        check_rewards([Reward.model_validate({"kind": kind, **settings})], task())
    return raised.value


class TestExactMatch:
    def test_it_is_the_scorer(self) -> None:
        given = answers(["yes", " yes\n", "Yes", "yes!", "", "a\t b"], "yes")
        own = scorer("exact_match")
        expected = [own.score(text, row) for text, row in zip(given.texts, given.rows, strict=True)]
        assert scores("exact_match", given) == expected == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]

    def test_case_can_be_ignored(self) -> None:
        assert scores("exact_match", answers(["STRASSE", "stra"], "straße"), ignore_case=True) == [1.0, 0.0]

    def test_the_content_of_a_tag_can_be_judged_alone(self) -> None:
        texts = [
            "<think>no</think><answer> yes </answer>",
            "<Answer>no</Answer> then <ANSWER>yes</ANSWER>",
            "yes",
            "<answer>yes",
            "</answer>yes<answer>",
            "<answer><answer>yes</answer></answer>",
        ]
        assert scores("exact_match", answers(texts, "yes"), within="answer") == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        in_tags = answers(["<answer>yes</answer>"], "<think>so</think><answer>yes</answer>")
        assert scores("exact_match", in_tags, within="answer") == [1.0]
        assert "within" in str(refused("exact_match", within="a>b"))


class TestLabel:
    def test_what_is_no_label_is_worth_less_than_a_wrong_one(self) -> None:
        texts = ["red", " light  blue ", "blue", "", "Red"]
        assert scores("label", answers(texts, "red"), LABELLED) == [1.0, 0.0, -0.5, -0.5, -0.5]
        assert scores("label", answers(["green"], "red"), LABELLED, outside=-1) == [-1.0]

    def test_an_answer_without_the_tag_is_no_label(self) -> None:
        texts = ["<answer>red</answer>", "red"]
        assert scores("label", answers(texts, "red"), LABELLED, within="answer") == [1.0, -0.5]

    def test_it_needs_labels(self) -> None:
        assert "exact_match" in refused("label").hint
        assert "outside" in str(refused("label", outside=0.5))


class TestNumeric:
    @pytest.mark.parametrize(
        ("text", "last"),
        [
            ("The answer is 42.", 42.0),
            ("1,234,567.5", 1234567.5),
            ("12,34", 34.0),
            ("x = -3", -3.0),
            ("\N{MINUS SIGN}3", -3.0),
            ("5-3", 3.0),
            ("(2)-1", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("1e3", 1000.0),
            ("3 of 4", 4.0),
            ("4th", 4.0),
            ("none", None),
            ("", None),
        ],
    )
    def test_numbers_are_read(self, text: str, last: float | None) -> None:
        assert number(text, "last") == last

    def test_the_answers_number_is_the_targets(self) -> None:
        texts = ["so it is 72", "72 of 100", "72.0", "seventy-two", "1e999", "72.0001"]
        assert scores("numeric", answers(texts, "48 + 24 = #### 72")) == [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]
        assert scores("numeric", answers(["72 of 100"], "72"), pick="first") == [1.0]

    def test_the_tolerance_is_absolute_or_relative(self) -> None:
        texts = ["102", "98", "103"]
        assert scores("numeric", answers(texts, "100"), tolerance=2) == [1.0, 1.0, 0.0]
        assert scores("numeric", answers(texts, "100"), relative=0.02) == [1.0, 1.0, 0.0]

    def test_a_target_without_a_number_is_the_datas_fault(self) -> None:
        with pytest.raises(FaultError, match="row r1 has no number") as raised:
            scores("numeric", answers(["1", "2"], "1", "two"))
        assert raised.value.fault.kind == "data"


class TestRegex:
    def test_a_match_is_enough_without_a_group(self) -> None:
        assert scores("regex", answers(["see 12", "see"]), pattern=r"\d+") == [1.0, 0.0]

    def test_a_group_must_be_the_target(self) -> None:
        texts = ["answer: 1, no, answer:  2 ", "answer: 2", "2", "answer: 2, or answer: 1"]
        pattern = r"answer:\s*(?P<said>\d+)"
        for group in (1, "said"):
            assert scores("regex", answers(texts, "2"), pattern=pattern, group=group) == [1.0, 1.0, 0.0, 0.0]
        assert scores("regex", answers(texts[3:], "2"), pattern=pattern, group=1, pick="first") == [1.0]
        assert scores("regex", answers(["b"], ""), pattern="(a)?b", group=1) == [0.0], "a group that took no part"

    def test_catastrophic_backtracking_ends_and_is_no_match(self) -> None:
        began = time.monotonic()
        given = answers(["a" * 60 + "!", "aaa"])
        assert scores("regex", given, pattern=r"^(a|a|a)*$", timeout_s=0.2) == [0.0, 1.0]
        assert time.monotonic() - began < 30

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({}, "has no pattern"),
            ({"pattern": "("}, "no regular expression"),
            ({"pattern": "a", "group": 1}, "has no group 1"),
            ({"pattern": "(?P<b>a)", "group": "c"}, "has no group 'c'"),
            ({"pattern": "a", "timeout_s": 0}, "timeout_s"),
        ],
    )
    def test_patterns_that_cannot_be_are_refused(self, settings: dict[str, Any], said: str) -> None:
        assert said in str(refused("regex", **settings))


class Words:
    """A tokenizer: a token a word."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [0] * add_special_tokens + [1] * len(text.split())


class TestLength:
    def test_the_punishment_is_the_papers(self) -> None:
        assert [overlong(n, 100, 20) for n in (0, 80, 85, 90, 100, 200)] == [0.0, 0.0, -0.25, -0.5, -1.0, -1.0]

    def test_tokens_are_counted_without_special_ones(self) -> None:
        court = Court(task(max_new_tokens=100), tokenizer=Words())
        texts = ["w " * 80, "w " * 90, "w " * 100, ""]
        assert scores("length", answers(texts), court) == [0.0, -0.5, -1.0, 0.0]
        assert scores("length", answers(["w w w"]), court, limit=4, margin=2) == [-0.5]

    def test_what_cannot_be_is_refused(self) -> None:
        assert "margin" in refused("length", limit=10, margin=11).hint
        with pytest.raises(UsageError, match="tokenizer"):
            scores("length", answers(["a"]))


class TestFormat:
    GOOD = "<think>why</think>\n<answer>what</answer> "

    def test_tags_are_there_once_and_in_order(self) -> None:
        texts = [
            self.GOOD,
            "Well: " + self.GOOD,
            "<answer>what</answer><think>why</think>",
            "<think>why<answer>what</think></answer>",
            "<think>why</think>",
            self.GOOD * 2,
            "",
        ]
        assert scores("format", answers(texts)) == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        assert scores("format", answers(texts[:2]), whole=False) == [1.0, 1.0]
        assert scores("format", answers(["<a></a>"]), tags=["a"]) == [1.0]

    def test_a_part_of_the_tags_can_be_worth_a_part_of_half(self) -> None:
        texts = [self.GOOD, "<think>why</think>", "<think>", "none", "<answer>what</answer><think>why</think>"]
        assert scores("format", answers(texts), partial=True) == [1.0, 0.25, 0.125, 0.0, 0.5]

    def test_tags_have_names(self) -> None:
        assert "tags" in str(refused("format", tags=[])) and "tags" in str(refused("format", tags=["<a>"]))


class TestJsonSchema:
    SHAPE = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "pattern": "^(a|a)*$"}}}

    def test_json_that_meets_the_schema(self) -> None:
        texts = [
            '{"name": "aa"}',
            '{"name": 1}',
            "{name: 1}",
            "",
            '{"name": "aa"} and so on',
            '{"name": NaN}',
            "[" * 10**5,
        ]
        assert scores("json_schema", answers(texts), shape=self.SHAPE) == [1.0] + [0.0] * 6
        assert scores("json_schema", answers(texts), shape=self.SHAPE, parsed=0.2) == [1.0, 0.2] + [0.0] * 5

    def test_any_json_meets_no_schema_at_all(self) -> None:
        assert scores("json_schema", answers(["1", "one", "<answer>[]</answer>"])) == [1.0, 0.0, 0.0]
        assert scores("json_schema", answers(["<answer>[]</answer>"]), within="answer") == [1.0]

    def test_a_pattern_that_backtracks_ends_as_not_met(self) -> None:
        hostile = '{"name": "' + "a" * 60 + '!"}'
        given = answers([hostile, '{"name": "a"}'])
        assert scores("json_schema", given, shape=self.SHAPE, timeout_s=0.2) == [0.0, 1.0]

    def test_rows_can_have_their_own_schema(self) -> None:
        given = answers(["1", "1"], meta=[{"shape": {"type": "integer"}}, {"shape": '{"type": "string"}'}])
        assert scores("json_schema", given, column="shape") == [1.0, 0.0]
        with pytest.raises(FaultError, match="row r0 has no JSON schema in column 'form'") as raised:
            scores("json_schema", given, column="form")
        assert raised.value.fault.kind == "data"

    def test_a_reference_to_the_network_is_not_followed(self) -> None:
        with pytest.raises(FaultError, match="Unresolvable"):
            scores("json_schema", answers(["1"]), shape={"$ref": "http://127.0.0.1:9/schema.json"})

    def test_what_is_no_schema_is_refused(self) -> None:
        assert "no JSON schema" in str(refused("json_schema", shape={"type": "text"}))


def test_comparing_says_nothing_about_other_answers() -> None:
    """Each answer is judged by itself: alone it is worth what it is worth in company."""
    given = answers(["yes", "no", "yes"], "yes", "yes", "no")
    alone = [
        scores("exact_match", answers([text], row["target"]))[0]
        for text, row in zip(given.texts, given.rows, strict=True)
    ]
    assert scores("exact_match", given) == alone
