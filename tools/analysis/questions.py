"""What was asked about the brief, for the report."""

from __future__ import annotations

from tunewright.domain.study import Study
from tunewright.domain.understanding import Exchange

_ASSUMED = {
    "person": "as assumed",
    "policy": "nobody was there to ask, so it is assumed",
    "recording": "as assumed in the study that is replayed",
}


def question_rows(study: Study) -> list[tuple[str, str, str]]:
    """Question, reason, and the answer or what is assumed; none where nothing was asked."""
    settled = {one.question.id: one for one in study.doubts.settled}
    return [
        (one.text, one.why, _answer(settled[one.id]) if one.id in settled else f"not answered yet: {one.assumption}")
        for one in study.doubts.questions
    ]


def _answer(one: Exchange) -> str:
    if not one.answer:
        return f"{_ASSUMED[one.by]}: {one.question.assumption}"
    return f'"{one.answer}"' + (", as in the study that is replayed" if one.by == "recording" else "")
