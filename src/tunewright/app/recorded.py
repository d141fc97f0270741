"""What was answered in the study whose recording a language model is replayed from."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright.app.plans import recorded
from tunewright.domain.errors import UsageError
from tunewright.domain.event import Clarified
from tunewright.domain.study import Study
from tunewright.settings import Settings


def recorded_answers(study: Study, settings: Settings) -> Mapping[str, str]:
    """Text of a question -> its answer there; empty where it went on with what was assumed. Nothing where no study is
    replayed, its journal is gone, or the answers make no sense with this brief.
    """
    from tunewright.agents.reading import try_answers

    before = recorded(study, settings)
    if before is None or study.brief is None:
        return {}
    known = {one.question.text: one.answer for one in before.doubts.settled}
    same = [Clarified(question=one.id, answer=known[one.text]) for one in study.doubts.open if one.text in known]
    try:
        try_answers(study.brief, study.doubts.after(same))
    except UsageError:
        return {}
    return known
