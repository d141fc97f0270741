"""What the terminal says of lessons, of the reflection panel, and of where a gain came from."""

from __future__ import annotations

from tunewright.cli import words
from tunewright.cli.line import Line
from tunewright.domain import event as ev
from tunewright.domain.finding import standing
from tunewright.domain.study import Study

_LONGEST = 240
"""Characters of an explanation: one line on a wide screen, two on a narrow one."""


def learning_lines(
    one: ev.Explained | ev.Recalled | ev.Learned | ev.Weighed | ev.Reflected, study: Study
) -> list[Line]:
    """What the event says to a person."""
    match one:
        case ev.Explained():
            return _explained(one)
        case ev.Recalled():
            return _recalled(one)
        case ev.Learned():
            return [Line(_lesson(one), "lesson")]
        case ev.Weighed(tag="contradicted"):
            stands = study.insights.memory.get(one.lesson)
            said = f"{one.lesson} is contradicted by {words.label(one.trial)}: {words.labelled(one.why)}"
            return [Line(f"{said} (now {stands.counters()})" if stands is not None else said, "lesson", tone="faint")]
        case ev.Weighed():
            stands = study.insights.memory.get(one.lesson)
            now = f" (now {stands.counters()}{', dropped' if stands.dropped else ''})" if stands is not None else ""
            return [Line(f"{one.lesson} was {one.tag} to {words.label(one.trial)}{now}", "lesson", tone="faint")]
        case _:
            return _reflected(one)


def _explained(one: ev.Explained) -> list[Line]:
    """In one line; the verdict is on the line before it, so that is left out."""
    said = [sentence.says for sentence in one.sentences if sentence.cites != ("f1",)]
    text = words.labelled(" ".join(said))
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3].rstrip() + "..."
    return [Line(f"{words.label(one.trial)}: {text}", "why", tone="faint")] if said else []


def _recalled(one: ev.Recalled) -> list[Line]:
    return [
        Line(f"{kept.id} of {kept.lesson.study} ({kept.counters()}): {kept.lesson.claim}", "" if at else "recalled")
        for at, kept in enumerate(one.lessons)
    ]


def _lesson(one: ev.Learned) -> str:
    lesson = one.lesson
    against = f"; against: {', '.join(map(words.label, lesson.contradicting))}" if lesson.contradicting else ""
    claim = words.labelled(lesson.claim)
    return f"{lesson.id}: {claim} (for: {', '.join(map(words.label, lesson.supporting))}{against})"


def _reflected(one: ev.Reflected) -> list[Line]:
    if not one.asked:
        return []
    critics = [finding for finding in standing(one.findings) if finding.by.startswith("critic.")]
    lines = [Line(words.labelled(one.asked), "critics")]
    lines += [
        Line(words.labelled(finding.says), sub=finding.by.removeprefix("critic."), tone="faint") for finding in critics
    ]
    if one.experiment is not None:
        lines.append(Line(words.labelled(one.experiment.reason), sub="next"))
    return lines
