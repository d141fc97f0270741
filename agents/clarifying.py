"""Questions about a brief, from the first reading to the one that the study goes on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tunewright.agents.notebook import Notebook
from tunewright.agents.reading import try_answers
from tunewright.agents.reviewing import decide
from tunewright.agents.specification import Specifier
from tunewright.domain import event as ev
from tunewright.domain.errors import UsageError, unknown_name
from tunewright.domain.review import Answer
from tunewright.domain.study import Study
from tunewright.domain.understanding import Question

Read = Callable[[Study], ev.Understood]
"""Reads the brief with all that was answered about it."""


def understood(notebook: Notebook, read: Read) -> ev.Understood | None:
    """The reading that the study goes on with; None where questions are to be settled first.

    The brief is read once more only where somebody has answered in words; what comes of it asks nothing any more.
    """
    doubts = notebook.study.doubts
    if doubts.reading is None:
        reading = read(notebook.study)
        if reading.questions:
            notebook.record(ev.Wondered(reading=reading))
        return None if reading.questions else reading
    if doubts.open:
        return None
    reading = read(notebook.study) if doubts.answered else doubts.reading
    assumed = [one.question.assumed for one in doubts.settled if not one.answer]
    notes = tuple(dict.fromkeys((*reading.notes, *assumed)))
    return reading.model_copy(update={"notes": notes, "questions": (), "at": time.time()})


def filed(study: Study, answers: Sequence[Answer], specifier: Specifier) -> list[ev.Clarified | ev.Decided]:
    """All answers as events, or none: the first that does not hold raises and nothing is filed.

    Raises:
        UsageError: as ``decide``; or an answer to a question that makes no sense together with the brief.
    """
    known = {one.id for one in study.doubts.questions}
    to_questions = [answer for answer in answers if answer.target in known]
    clarified = [_clarified(study, answer) for answer in to_questions]
    if study.brief is not None and any(one.answer for one in clarified):
        try_answers(study.brief, study.doubts.after(clarified))
    others = [answer for answer in answers if answer.target not in known]
    return [*clarified, *(ev.Decided(decision=one) for one in decide(study, others, specifier))]


def _clarified(study: Study, answer: Answer) -> ev.Clarified:
    question = _waiting(study, answer.target)
    match answer.action:
        case "approve":
            return ev.Clarified(question=question.id)
        case "answer":
            return ev.Clarified(question=question.id, answer=question.chosen(answer.text))
        case _:
            raise UsageError(
                f"{question.id} is a question: nothing in it is to be {answer.action}ed",
                f'--answer {question.id}="...", or --approve {question.id} to go on with what is assumed',
            )


def _waiting(study: Study, target: str) -> Question:
    waiting = {one.id: one for one in study.doubts.open}
    if target not in waiting:
        raise unknown_name("question", target, waiting, f"tunewright status {study.name} shows what waits.")
    return waiting[target]
