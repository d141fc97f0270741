"""The weighted sum, and what becomes of rewards that do what they must not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.training.rewards.courts import answers, foreign, task

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.domain.recipe import Reward
from tunewright.tools.contract import FaultError
from tunewright.tools.training.reward import Court
from tunewright.tools.training.reward_process import Apart
from tunewright.tools.training.scoreboard import check_rewards, open_rewards

COURT = Court(task())


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def fault(kind: str, texts: list[str]) -> FaultError:
    with open_rewards([Reward(kind=kind)], COURT) as board, pytest.raises(FaultError) as raised:
        board(answers(texts))
    return raised.value


def test_the_total_is_the_weighted_sum_and_the_parts_are_bare() -> None:
    choices = [
        Reward(kind="exact_match", weight=2.0),
        Reward.model_validate({"kind": "exact_match", "weight": -0.5, "ignore_case": True}),
    ]
    with open_rewards(choices, COURT) as board:
        scores = board(answers([" Yes ", "yes", "no"], "yes"))
    assert scores.parts == {"exact_match": [0.0, 1.0, 0.0], "exact_match-2": [1.0, 1.0, 0.0]}
    assert scores.total == [-0.5, 1.5, 0.0]


def test_no_answers_are_worth_nothing() -> None:
    with open_rewards([Reward(kind="exact_match")], COURT) as board:
        scores = board(answers([]))
    assert scores.total == [] and scores.parts == {"exact_match": []}


def test_a_foreign_reward_is_asked_in_another_process(plugins: Path) -> None:
    foreign(plugins, "own", "import os; print('not an answer'); return [os.getpid()] * len(answers.texts)")
    with open_rewards([Reward(kind="own")], COURT) as board:
        first, again = board(answers(["a", "b"])), board(answers(["c"]))
    assert first.total[0] == first.total[1] == again.total[0] != os.getpid()


@pytest.mark.parametrize("attributes", ["", "apart = False"])
def test_one_that_raises_names_itself_and_the_row(plugins: Path, attributes: str) -> None:
    foreign(plugins, "raises", "return [1 / len(text) for text in answers.texts]", attributes)
    error = fault("raises", ["a", "", "b"])
    assert error.fault.kind == "config"
    assert "'raises'" in str(error) and "ZeroDivisionError" in str(error) and "row r1" in str(error)


@pytest.mark.parametrize("attributes", ["", "apart = False"])
@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "-float('inf')"])
def test_one_that_gives_no_finite_number_names_the_row(plugins: Path, value: str, attributes: str) -> None:
    foreign(plugins, "odd", f"return [{value} if text == 'x' else 1.0 for text in answers.texts]", attributes)
    error = fault("odd", ["a", "x"])
    assert error.fault.kind == "config" and "'odd'" in str(error) and "row r1" in str(error)


def test_one_that_gives_no_number_at_all_is_told_its_type(plugins: Path) -> None:
    foreign(plugins, "none", "return [None for text in answers.texts]")
    assert "NoneType" in str(fault("none", ["a"]))


def test_a_wrong_number_of_values_is_told(plugins: Path) -> None:
    foreign(plugins, "few", "return [1.0]")
    assert "gave 1 values for 2 answers, of rows r0 to r1" in str(fault("few", ["a", "b"]))


def test_one_that_hangs_is_ended_and_the_row_is_found(plugins: Path) -> None:
    foreign(plugins, "hangs", "while 'x' in answers.texts: pass\nreturn [1.0] * len(answers.texts)")
    with open_rewards([Reward(kind="hangs")], COURT) as board:
        judge = board.seats[0].judge
        assert isinstance(judge, Apart) and judge._worker is not None
        process = judge._worker
        began = time.monotonic()
        with pytest.raises(FaultError, match=r"'hangs' gave no value within 0.5 s.*row r2") as raised:
            board(answers(["a", "b", "x", "c"]))
        assert raised.value.fault.kind == "config" and time.monotonic() - began < 30
        assert not process.alive, "what hung must not go on"
        assert board(answers(["a"])).total == [1.0], "another process takes its place"


def test_who_is_to_blame_for_hanging_is_the_rewards_to_say(plugins: Path) -> None:
    foreign(plugins, "far", "import time; time.sleep(60)", "hang = 'infra'")
    assert fault("far", ["a"]).fault.kind == "infra"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import sys; sys.exit(1)", "SystemExit"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    ],
)
def test_one_that_ends_its_process_is_a_fault(plugins: Path, body: str, said: str) -> None:
    foreign(plugins, "dies", body)
    error = fault("dies", ["a"])
    assert error.fault.kind == "config" and said in str(error) and "row r0" in str(error)


def test_trouble_that_comes_only_with_all_of_them_names_them_all(plugins: Path) -> None:
    foreign(plugins, "crowd", "assert len(answers.texts) < 2, 'too many'\nreturn [1.0]")
    assert "too many" in (said := str(fault("crowd", ["a", "b"]))) and "rows r0 to r1" in said


def test_a_missing_column_is_the_datas_fault(plugins: Path) -> None:
    foreign(plugins, "lacks", "from tunewright.domain.errors import DataError\nraise DataError('no column tests')")
    assert fault("lacks", ["a"]).fault.kind == "data"


def test_what_cannot_be_opened_is_told_before_the_first_answer(plugins: Path) -> None:
    foreign(plugins, "shut", "return []")
    code = (plugins / "shut_reward.py").read_text()
    (plugins / "shut_reward.py").write_text(code.replace("return judge", "raise RuntimeError('no licence')"))
    with pytest.raises(UsageError, match="'shut' cannot begin: RuntimeError: no licence"):
        open_rewards([Reward(kind="shut")], COURT)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ([], "no reward"),
        ([Reward(kind="exact_match", weight=float("nan"))], "weight"),
        ([Reward.model_validate({"kind": "exact_match", "case": 1})], "no setting 'case'"),
    ],
)
def test_what_cannot_be_is_refused(choices: list[Reward], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_rewards(choices)


def test_an_unknown_reward_lists_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match="exact_mach") as raised:
        check_rewards([Reward(kind="exact_mach")])
    assert "exact_match" in raised.value.hint
