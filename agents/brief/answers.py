"""Answers to questions as more of the user's own words, such as the readers of a brief look for.

A short answer leans on its question: ``5 MB`` says what of only beside it. What the question was about is put before
the answer then; the question's text is somebody else's words and never gets in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunewright.agents.brief.text import like
from tunewright.domain.study import Study
from tunewright.domain.task import Brief
from tunewright.domain.understanding import Exchange, Topic

_WORDS = 6
"""A longer answer stands for itself."""
_COLUMN = like(r"^(?:the )?[\"'`]?(?P<name>[^\"'`\n]{1,60}?)[\"'`]?(?: (?:field|column|key))?[.!]?$")
_FRAMES: Mapping[Topic, tuple[str, str]] = {
    "metric": (r"\b(?:maxim|minim|metric|measure|scor|optimi|judge|rate)", "Measured by {}"),
    "size": (r"\b(?:adapters?|memory|v?ram)\b", "Adapter size {}"),
    "memory": (r"\b(?:adapters?|memory|v?ram)\b", "Memory {}"),
}
"""Topic -> what an answer that stands for itself contains, and what any other is put into."""


def with_answers(brief: Brief, settled: Sequence[Exchange]) -> Brief:
    """The brief, with each answer as a paragraph of its own behind it."""
    said = [in_words(one) for one in settled if one.answer]
    return brief.model_copy(update={"text": "\n\n".join([brief.text, *said])}) if said else brief


def in_words(one: Exchange) -> str:
    """One answer as a sentence of a brief."""
    said, topic = one.answer.rstrip(".!"), one.question.about
    if topic in ("target", "input"):
        name = column_of(one)
        return f'The {topic} field is "{name}".' if name else f"{said}."
    alone, frame = _FRAMES.get(topic, ("", "{}"))
    short = len(said.split()) <= _WORDS and not (alone and like(alone).search(said))
    return (frame.format(said) if short else said) + "."


def column_of(one: Exchange) -> str:
    """The column that an answer consists of; nothing where it says more than that."""
    found = _COLUMN.match(one.answer)
    name = found["name"].strip() if found else ""
    return name if name and len(name.split()) <= _WORDS // 2 else ""


def words_of(study: Study) -> Brief:
    """All that the user has said of a study: the brief, and the answers."""
    assert study.brief is not None
    return with_answers(study.brief, study.doubts.settled)
