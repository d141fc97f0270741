"""Questions about a brief at the terminal and by command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.cli.terminal import MAIN, Terminal
from tests.cli.test_reviewer import Person
from tests.stories import CODE, task

from tunewright import app
from tunewright.app.driving import must_hold
from tunewright.cli.door import run
from tunewright.cli.narration import lines_for
from tunewright.domain import event as ev
from tunewright.domain.budget import Budget
from tunewright.domain.errors import UsageError
from tunewright.domain.review import Answer
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.domain.task import Brief
from tunewright.domain.understanding import Question

BRIEF = "Teach tiny to sort rows.jsonl. At most 5 minutes and 4 trials."
QUESTIONS = (
    Question(
        id="q1", text="Do rare topics matter?", about="metric", why="It decides the metric.", assumption="accuracy",
        options=("accuracy", "macro F1"),
    ),
    Question(id="q2", text="May every adapter be tried?", about="search", assumption="yes"),
)  # fmt: skip
Q = ("q1", "q2")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def waits() -> list[ev.Event]:
    """A study whose brief leaves two things open; its last process has let it go."""
    reading = ev.Understood(task=task(), budget=Budget(trials=4), questions=QUESTIONS, by="openai/m")
    return [
        ev.StudyCreated(study="odd-01", brief=Brief(text=BRIEF), options=ev.StudyOptions(), code=CODE),
        ev.SessionOpened(pid=1, host="h"),
        ev.Wondered(reading=reading),
        ev.ReviewAsked(targets=Q),
        ev.SessionClosed(reason="done for now"),
    ]


def said(answers: Sequence[Answer] | None) -> list[tuple[str, str]]:
    return [(one.target, one.text) for one in answers or [] if one.action == "answer"]


def test_each_question_is_shown_with_its_reason_and_its_assumption_and_answered_in_turn(waits: list[ev.Event]) -> None:
    person = Person(" no dora ", "")
    assert said(person.answers(Study(waits), Q)) == [("q1", "no dora"), ("q2", "")]
    rows = [line.rstrip() for line in person.seen.splitlines() if line.strip()]
    assert rows == [
        "asked        by openai/m, before anything is trained; no answer means what is assumed",
        "            so far: label `text` -> `label`, accuracy",
        '  q1        "Do rare topics matter?"',
        '            why: "It decides the metric."',
        '            [1] "accuracy", [2] "macro F1"',
        '            assumed: "accuracy"',
        '  q2        "May every adapter be tried?"',
        '            assumed: "yes"',
    ]


def test_what_is_put_off_is_kept_for_later_and_not_asked_again_at_once(waits: list[ev.Event]) -> None:
    person = Person("2", "q", "never typed")
    assert said(person.answers(Study(waits), Q)) == [("q1", "2")]
    waits.append(ev.Clarified(question="q1", answer="macro F1"))
    assert person.answers(Study(waits), ["q2"]) is None and person.typed == ["never typed"]


def test_an_answer_that_makes_no_sense_is_asked_for_again(waits: list[ev.Event]) -> None:
    person = Person("at most 0 trials", "2", "")

    def check(study: Study, answers: Sequence[Answer]) -> None:
        if "0 trials" in answers[-1].text:
            raise UsageError("an answer cannot be used", "say another")

    person.reviewer._check = check
    assert said(person.answers(Study(waits), Q)) == [("q1", "2"), ("q2", "")]
    assert "an answer cannot be used; say another" in person.seen


def test_answers_are_tried_before_a_session_is_opened(waits: list[ev.Event]) -> None:
    study = Study(waits)
    must_hold(study, [Answer(target="q1", action="answer", text="macro f1"), Answer(target="q2", action="approve")])
    with pytest.raises(UsageError, match="an answer cannot be used"):
        must_hold(study, [Answer(target="q1", action="answer", text="0 trials")])


def test_where_a_study_stands_says_what_it_asks(waits: list[ev.Event]) -> None:
    summary = summarise(Study(waits))
    assert (summary.state, summary.waiting_for, summary.questions) == ("waiting", Q, QUESTIONS)
    assert summary.next == "tunewright review odd-01 --approve all"
    study = Study([*waits, ev.Clarified(question="q1", answer="macro F1"), ev.Clarified(question="q2")])
    assert study.asked == () and summarise(study).questions == ()


def test_what_was_answered_is_told_to_who_looks_on(waits: list[ev.Event]) -> None:
    study = Study(waits)
    told = [
        [(line.label, line.text) for line in lines_for(one, study)]
        for one in (
            ev.Clarified(question="q1", answer="macro F1"),
            ev.Clarified(question="q2"),
            ev.Clarified(question="q2", by="policy"),
        )
    ]
    assert told == [[("answered", 'q1 "macro F1"')], [("answered", "q2 as assumed")], []]


@pytest.fixture
def rows(home: Path) -> Path:
    """120 rows, nine in ten of one label: the rules ask what counts."""
    path = home.parent / "rows.jsonl"
    lines = [{"text": f"row {at}", "label": "odd" if at % 10 == 0 else "usual"} for at in range(120)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_asked_at_a_terminal_put_off_and_answered_by_command(rows: Path, home: Path, capsys: Capture) -> None:
    terminal = Terminal(MAIN, "run", BRIEF, "--study", "odd-01", "--sandbox", "replay")
    terminal.expect("What counts", timeout_s=120)
    terminal.expect("q1 [enter] as assumed")
    terminal.type("q\n")
    terminal.expect('to answer: tunewright review odd-01 --answer q1="..."', timeout_s=60)
    assert terminal.end()[1] == 3
    assert run(["resume", "odd-01"]) == 3, "it goes on waiting where nobody can answer"
    assert "What counts" in capsys.readouterr().err
    for wrong in ("q2=x", "q1", "plan=x"):
        assert run(["review", "odd-01", "--answer", wrong]) == 2
    assert "answers no question that waits" in capsys.readouterr().err
    assert run(["review", "odd-01", "--answer", "q1=macro F1", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["waiting_for"] == ["plan"]
    study = app.load("odd-01")
    assert study.task is not None and study.task.metric.name == "macro_f1"
    page = app.report("odd-01")[1].read_text()
    assert "Asked: What counts: accuracy over all rows" in page and "&#34;macro F1&#34;" in page


def test_with_json_nobody_is_asked(rows: Path, capsys: Capture) -> None:
    assert run(["run", BRIEF, "--study", "odd-01", "--sandbox", "replay", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["waiting_for"] == ["plan"]
    assert any(note.startswith("assumed: accuracy (asked: What counts") for note in app.load("odd-01").notes)
