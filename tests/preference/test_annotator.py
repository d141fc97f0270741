"""Who labels: a person's typing, programs that answer, fail, hang and shout, references, and functions."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tunewright.domain.budget import Cost
from tunewright.domain.errors import AnnotatorError, DataError, UnknownNameError, UsageError
from tunewright.tools.preference.annotator import Question, Reply
from tunewright.tools.preference.annotators.function import FunctionAnnotator
from tunewright.tools.preference.annotators.human import HumanAnnotator
from tunewright.tools.preference.annotators.llm import LlmAnnotator
from tunewright.tools.preference.annotators.program import ProgramAnnotator
from tunewright.tools.preference.annotators.reference import ReferenceAnnotator
from tunewright.tools.preference.candidate import Candidates

ROW = Candidates(prompt="Two plus two?", answers=("four", "five"), target="four", meta={"level": 1}).row
QUESTION = Question(prompt="Two plus two?", first="five", second="four", row=ROW)


def typing(*lines: str) -> tuple[HumanAnnotator, list[str]]:
    left, said = list(lines), list[str]()

    def ask(prompt: str) -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return HumanAnnotator(ask, lambda question: said.append(question.first), said.append), said


@pytest.mark.parametrize(
    ("typed", "choice"),
    [("1", "1"), (" 2 ", "2"), ("T", "tie"), ("tie", "tie"), ("s", "skip"), ("q", "quit"), ("QUIT", "quit")],
)
def test_what_is_typed(typed: str, choice: str) -> None:
    annotator, said = typing(typed)
    assert annotator.answer(QUESTION) == Reply(choice)  # type: ignore[arg-type]
    assert said == ["five"]


def test_typing_errors_are_explained_and_asked_again() -> None:
    annotator, said = typing("3", "", "u", "first", "2")
    assert annotator.answer(QUESTION).choice == "2"
    assert said[1:] == [
        "'3' is none of 1, 2, t, s, u, q",
        "there is no answer to take back",
        "'first' is none of 1, 2, t, s, u, q",
    ]


def test_taking_back_and_ctrl_d() -> None:
    assert typing("u")[0].answer(Question("p", "a", "b", undoable=True)).choice == "undo"
    assert typing()[0].answer(QUESTION).choice == "quit"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Makes a command that runs Python."""

    def made(text: str) -> str:
        path = tmp_path / "judge me.py"
        path.write_text(text)
        return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"

    return made


def test_a_program_is_given_the_pair_and_the_row(program: Callable[[str], str], tmp_path: Path) -> None:
    keep = tmp_path / "seen.json"
    command = program(f"import sys; open({str(keep)!r}, 'w').write(sys.stdin.read()); print(' TIE ')")
    assert ProgramAnnotator(command).answer(QUESTION).choice == "tie"
    assert json.loads(keep.read_text()) == {
        "prompt": "Two plus two?",
        "answer_1": "five",
        "answer_2": "four",
        "target": "four",
        "meta": {"level": 1},
    }


def test_no_shell_ever_sees_prompt_or_answer(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Neither the text of a pair nor the command's own words are expanded."""
    trap = tmp_path / "trap"
    text = f'"; touch {trap}; echo 1 #$(touch {trap})`touch {trap}`'
    command = program("import sys; print(1 if sys.argv[1] == '$(touch' else 2)") + f" '$(touch' '{trap})'"
    assert ProgramAnnotator(command).answer(Question(text, text, text)).choice == "1"
    assert not trap.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('choose 1')", "printed 'choose 1'"),
        ("", "printed ''"),
        ("import sys; sys.exit('no model there')", "ended with code 1: no model there"),
        ("import os; os.kill(os.getpid(), 9)", "was killed"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\xfe')", "printed"),
    ],
)
def test_a_program_that_fails_is_one_clear_line(text: str, said: str, program: Callable[[str], str]) -> None:
    with pytest.raises(AnnotatorError) as caught:
        ProgramAnnotator(program(text)).answer(QUESTION)
    assert said in caught.value.message
    assert "1, 2 or tie" in caught.value.hint


def test_a_program_that_does_not_read_its_input_may_answer(program: Callable[[str], str]) -> None:
    long = Question("p" * 10**6, "a", "b")
    assert ProgramAnnotator(program("print(2)")).answer(long).choice == "2"


def test_a_program_that_hangs_is_ended_with_all_it_started(program: Callable[[str], str], tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time; time.sleep(5); open({str(mark)!r}, 'w')"
    command = program(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    with pytest.raises(AnnotatorError, match="said nothing in 1 s"):
        ProgramAnnotator(command, timeout_s=1).answer(QUESTION)
    assert not mark.exists(), "waited for"
    time.sleep(5)
    assert not mark.exists()


@pytest.mark.parametrize("command", ["", "   ", "'open"])
def test_no_command_is_wrong_use(command: str) -> None:
    with pytest.raises(UsageError):
        ProgramAnnotator(command)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(AnnotatorError, match="cannot be run: No such file"):
        ProgramAnnotator("/no/such/program").answer(QUESTION)


@pytest.mark.parametrize(
    ("scorer", "first", "second", "choice"),
    [
        ("", "five", "it is four", "2"),
        ("exact_match", "four", "it is four", "1"),
        ("exact_match", "it is four", "five", "tie"),
        ("rouge-l", "it is four", "five", "1"),
        ("accuracy", "five", "four", "2"),
    ],
)
def test_the_nearer_answer_wins(scorer: str, first: str, second: str, choice: str) -> None:
    annotator = ReferenceAnnotator(scorer)
    assert annotator.answer(Question("p", first, second, ROW)).choice == choice


def test_references_that_are_missing_or_cannot_compare() -> None:
    with pytest.raises(DataError, match="'Hello' has no reference"):
        ReferenceAnnotator().check([Candidates(prompt="Hello", answers=("a", "b"))])
    with pytest.raises(UsageError, match="'loss' does not compare"):
        ReferenceAnnotator("loss")
    with pytest.raises(UnknownNameError):
        ReferenceAnnotator("nearness")


def test_functions() -> None:
    assert FunctionAnnotator(lambda prompt, first, second: 2).answer(QUESTION).choice == "2"
    with pytest.raises(AnnotatorError, match="returned 'first'"):
        FunctionAnnotator(lambda prompt, first, second: "first").answer(QUESTION)
    with pytest.raises(AnnotatorError, match=r"could not ask.*zero"):
        FunctionAnnotator(lambda prompt, first, second: 1 // 0).answer(QUESTION)


def test_a_model_that_declines_is_passed_over_but_not_for_ever() -> None:
    replies = [Reply("skip", "no"), Reply("1"), *[Reply("skip", "no", Cost(llm_tokens=9))] * 9]
    annotator = LlmAnnotator("m", lambda question: replies.pop(0))
    assert [annotator.answer(QUESTION).choice for _ in range(5)] == ["skip", "1", "skip", "skip", "skip"]
    with pytest.raises(AnnotatorError, match="no answer to 3 pairs in a row"):
        annotator.answer(QUESTION)
