"""The reviewer at a terminal: what is typed becomes answers; typing errors, Ctrl-D and Ctrl-C lose nothing."""

from __future__ import annotations

import io
import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console
from tests.cli.terminal import Terminal
from tests.stories import Story

from tunewright.cli.reviewer import TerminalReviewer
from tunewright.cli.view import View
from tunewright.domain import event as ev
from tunewright.domain.review import Answer
from tunewright.domain.study import Study

ALL = ("t0", "t1", "t2")


class Person:
    """Types prepared lines into a reviewer; what it is shown is in ``seen``."""

    def __init__(self, *typed: str) -> None:
        self.console = Console(file=io.StringIO(), width=160, markup=False, highlight=False)
        self.typed = list(typed)
        self.reviewer = TerminalReviewer(View(self.console), self.ask)

    def ask(self, prompt: str) -> str:
        if not self.typed:
            raise EOFError
        return self.typed.pop(0)

    @property
    def seen(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()

    def answers(self, study: Study, targets: Sequence[str] = ALL) -> list[Answer] | None:
        given = self.reviewer(study, targets)
        return None if given is None else list(given)


def said(answers: list[Answer] | None) -> list[tuple[str, str, str]]:
    assert answers is not None
    return [(answer.target, answer.action, answer.reason) for answer in answers]


def test_a_plan_is_shown_explained_and_approved(plan_waits: list[ev.Event]) -> None:
    person = Person("", "w", "x", "a")
    assert said(person.answers(Study(plan_waits), ["plan"])) == [("plan", "approve", "")]
    assert 'plan         "plan-01"' in person.seen
    assert "lr.full 1e-06..0.0002, default 2e-05, where adapter is full" in person.seen
    assert "'x' is none of a, r, w, q" in person.seen


def test_a_plan_is_rejected_with_a_reason(plan_waits: list[ev.Event]) -> None:
    study = Study(plan_waits)
    assert said(Person("r", "", "  ", "too long").answers(study, ["plan"])) == [("plan", "reject", "too long")]
    assert said(Person("r too long").answers(study, ["plan"])) == [("plan", "reject", "too long")]


@pytest.mark.parametrize("typed", [(), ("q",), ("w",), ("r",)])
def test_later_is_no_answer(typed: tuple[str, ...], plan_waits: list[ev.Event]) -> None:
    """``r`` and then Ctrl-D at the reason is no rejection either."""
    assert Person(*typed).answers(Study(plan_waits), ["plan"]) is None


def test_all(batch: Story) -> None:
    assert said(Person("a").answers(batch.study)) == [(target, "approve", "") for target in ALL]


def test_some_then_a_rejection_then_the_rest(batch: Story) -> None:
    person = Person("1", "r 2 rank 16 was tried", "?", "a")
    assert said(person.answers(batch.study)) == [
        ("t1", "approve", ""),
        ("t2", "reject", "rank 16 was tried"),
        ("t0", "approve", ""),
    ]
    assert "still open: 0" in person.seen
    assert person.seen.count("binds") == 1, "details are of what is open"


def test_what_is_answered_before_leaving_is_kept(batch: Story) -> None:
    assert said(Person("0,1").answers(batch.study)) == [("t0", "approve", ""), ("t1", "approve", "")]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("7", "'7' does not wait for review; waiting: 0, 1, 2"),
        ("approve everything", "does not wait for review"),
        ("r", "which one?"),
        ("e", "which one?"),
        ("e plan", "'plan' does not wait"),
    ],
)
def test_a_typing_error_is_explained_and_asked_again(typed: str, told: str, batch: Story) -> None:
    person = Person(typed, "a")
    assert len(person.answers(batch.study) or []) == 3
    assert told in person.seen


def test_an_edit(batch: Story, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\nsed -i 's/lr: 0.0004/lr: 1e-3/' $1\n")
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    person = Person("e 1", "a")
    answers = person.answers(batch.study)
    assert answers is not None
    assert answers[0] == Answer(target="t1", action="edit", edits={"stages.0.optimisation.lr": 1e-3})
    assert "edited: lr" in person.seen
    assert [answer.target for answer in answers[1:]] == ["t0", "t2"]


def test_an_editor_that_fails_loses_nothing(batch: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "false")
    person = Person("1", "e 2", "a")
    assert len(person.answers(batch.study) or []) == 3
    assert "the editor 'false' ended with code 1" in person.seen


# A real terminal: a process of its own, with a pseudo-terminal as its stdin and stderr.

PROGRAM = """
import json, sys
from tunewright import app
from tunewright.cli.output import console
from tunewright.cli.reviewer import TerminalReviewer
from tunewright.cli.view import View
study = app.load(sys.argv[1])
with View(console(stderr=True), study) as view:
    answers = TerminalReviewer(view)(study, study.asked)
print(json.dumps([answer.model_dump(mode="json") for answer in answers or []]))
"""


def answered(terminal: Terminal) -> list[dict[str, object]]:
    out, code = terminal.end()
    assert code == 0, terminal.seen
    found: list[dict[str, object]] = json.loads(out)
    return found


def test_at_a_real_terminal(write: Callable[[Sequence[ev.Event]], str], batch: Story) -> None:
    terminal = Terminal(PROGRAM, write(batch.events))
    terminal.expect("differs from default")
    terminal.expect("[?] details")
    terminal.type("2\n")
    terminal.expect("still open: 0, 1")
    terminal.expect("? ")
    terminal.type("r 1\n")
    terminal.expect("why? ")
    terminal.type("tried before\n")
    terminal.expect("still open: 0")
    terminal.type("\x04")  # Ctrl-D
    answers = answered(terminal)
    assert [(a["target"], a["action"], a["reason"]) for a in answers] == [
        ("t2", "approve", ""),
        ("t1", "reject", "tried before"),
    ]


def test_ctrl_c_at_the_prompt_keeps_it_for_later(
    write: Callable[[Sequence[ev.Event]], str], plan_waits: list[ev.Event]
) -> None:
    terminal = Terminal(PROGRAM, write(plan_waits))
    terminal.expect("[a]pprove")
    time.sleep(0.2)
    terminal.process.send_signal(signal.SIGINT)
    assert answered(terminal) == []
