"""Questions about a brief at the terminal: how they are shown, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunewright.cli.line import Line
from tunewright.domain.errors import UsageError
from tunewright.domain.event import Clarified
from tunewright.domain.review import Answer
from tunewright.domain.study import Study
from tunewright.domain.understanding import Question

PROMPT = "{id} [enter] as assumed  [q] later ? "


def question_lines(study: Study, targets: Sequence[str]) -> list[Line]:
    """Each question with its reason, what there is to choose from, and what holds if nobody answers. What a language
    model wrote stands in quotation marks."""
    reading = study.doubts.reading
    if reading is None:
        return []
    task = reading.task
    so_far = f"{task.format} `{task.input_field}` -> `{task.target_field}`, {task.metric.name}"
    lines = [
        Line(f"by {reading.by}, before anything is trained; no answer means what is assumed", "asked"),
        Line(f"so far: {so_far}", sub=" ", indent=2),
    ]
    for one in [one for one in reading.questions if one.id in targets]:
        lines.append(Line(f'"{one.text}"', sub=one.id, indent=2))
        lines += [Line(text, sub=" ", indent=2) for text in _beside(one)]
    return lines


def _beside(one: Question) -> list[str]:
    said = [f'why: "{one.why}"'] if one.why else []
    if one.options:
        said.append(", ".join(f'[{number}] "{option}"' for number, option in enumerate(one.options, 1)))
    return [*said, f'assumed: "{one.assumption}"']


def clarified_lines(one: Clarified) -> list[Line]:
    """What a person answered; what is assumed stands in the notes of what was understood."""
    if one.by == "policy":
        return []
    who = "answered" if one.by == "person" else "recorded"
    return [Line(f'{one.question} "{one.answer}"' if one.answer else f"{one.question} as assumed", who)]


def ask_questions(
    study: Study,
    targets: Sequence[str],
    ask: Callable[[str], str],
    say: Callable[[str], None],
    check: Callable[[Study, Sequence[Answer]], None],
    answers: list[Answer],
) -> bool:
    """Asks one after the other; an answer that makes no sense with the brief is asked for again.

    Args:
        answers: what is answered is put in here, so that an end in the middle keeps it.

    Returns:
        Whether all were answered.
    """
    left = list(targets)
    while left:
        typed = ask(PROMPT.format(id=left[0])).strip()
        if typed in ("q", "quit"):
            return False
        given = Answer(target=left[0], action="answer", text=typed)
        try:
            check(study, [*answers, given])
        except UsageError as error:
            say(f"{error.message}; {error.hint}" if error.hint else error.message)
            continue
        answers.append(given)
        left.pop(0)
    return True
