"""What a reviewer types becomes exactly one answer a run, or an error that says what to type instead."""

from __future__ import annotations

import pytest

from tunewright.cli.selection import answers_of, fold_edits, read_assignment, targets_of
from tunewright.domain.errors import UsageError

WAITING = ("t0", "t1", "t2", "t3")


def test_an_edit_with_many_assignments_is_one_option() -> None:
    typed = ["review", "--edit", "2", "a.b=1", "c=x=y", "route-01", "--edit", "3", "d=1", "--json"]
    assert fold_edits(typed) == ["review", "--edit", "2\na.b=1\nc=x=y", "route-01", "--edit", "3\nd=1", "--json"]


@pytest.mark.parametrize("typed", [["review", "--edit"], ["review", "--edit", "--json"], ["run", "a=1"], []])
def test_folding_leaves_everything_else_alone(typed: list[str]) -> None:
    assert fold_edits(typed) == typed


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("all", list(WAITING)),
        ("1,2", ["t1", "t2"]),
        ("t3 #0", ["t3", "t0"]),
        ("2, 2,t2", ["t2"]),
        ("1,all", ["t1", "t0", "t2", "t3"]),
    ],
)
def test_targets(words: str, named: list[str]) -> None:
    assert targets_of(words, WAITING) == named


@pytest.mark.parametrize("words", ["7", "plan", "1,x", "", "1;2"])
def test_a_target_that_does_not_wait_is_refused_with_those_that_do(words: str) -> None:
    with pytest.raises(UsageError, match="does not wait") as caught:
        targets_of(words, WAITING)
    assert "waiting: 0, 1, 2, 3" in caught.value.hint


def test_all_means_the_rest() -> None:
    answers = answers_of(
        WAITING, approve=["all"], reject=["3"], reasons=["too large"], edit=["1\nstages.0.optimisation.lr=1e-4"]
    )
    assert {answer.target: answer.action for answer in answers} == {
        "t1": "edit",
        "t3": "reject",
        "t0": "approve",
        "t2": "approve",
    }
    edit, reject = answers[0], answers[1]
    assert edit.edits == {"stages.0.optimisation.lr": 1e-4}
    assert edit.reason == ""
    assert reject.reason == "too large"


def test_each_rejection_has_its_own_reason_or_all_share_one() -> None:
    own = answers_of(WAITING, reject=["1", "2"], reasons=["slow", "big"])
    assert [answer.reason for answer in own] == ["slow", "big"]
    shared = answers_of(WAITING, reject=["1,2", "3"], reasons=["big"])
    assert [answer.reason for answer in shared] == ["big"] * 3


@pytest.mark.parametrize("reasons", [[], ["  "], ["a", "b", "c"]])
def test_a_rejection_owes_a_reason(reasons: list[str]) -> None:
    with pytest.raises(UsageError, match="owes a reason"):
        answers_of(WAITING, reject=["1", "2"], reasons=reasons)


def test_a_rejection_without_a_reason_is_told_so_in_plain_words() -> None:
    with pytest.raises(UsageError, match="--reject is given 1 times, --reason 0 times"):
        answers_of(WAITING, reject=["1"])


def test_two_answers_to_one_run_are_refused() -> None:
    with pytest.raises(UsageError, match="answered twice: reject and approve"):
        answers_of(WAITING, approve=["1"], reject=["1"], reasons=["no"])


@pytest.mark.parametrize("edit", ["2", "plan\na=1", "1,2\na=1", "9\na=1"])
def test_an_edit_is_of_one_run_and_changes_something(edit: str) -> None:
    with pytest.raises(UsageError):
        answers_of((*WAITING, "plan"), edit=[edit])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lr=1e-4", 1e-4),
        ("lr=3", 3),
        ("lr=.5", 0.5),
        ("kind=dora", "dora"),
        ("weights=[0.25, 0.75]", [0.25, 0.75]),
        ("adapter={kind: ia3, placement: qv}", {"kind": "ia3", "placement": "qv"}),
        ("flag=true", True),
        ("when=2020-01-01", "2020-01-01"),
        ("text=!!python/object/apply:os.getcwd []", "!!python/object/apply:os.getcwd []"),
        ("text=a: b: c", "a: b: c"),
    ],
)
def test_a_value_is_read_as_yaml_and_never_evaluated(text: str, value: object) -> None:
    assert read_assignment(text)[1] == value


@pytest.mark.parametrize("text", ["lr", "=1", "lr=", " = "])
def test_no_assignment(text: str) -> None:
    with pytest.raises(UsageError, match="is not PATH=VALUE"):
        read_assignment(text)
