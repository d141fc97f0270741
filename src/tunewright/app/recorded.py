"""What was answered in the study whose recording a language model is replayed from."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright.app.plans import recorded
from tunewright.domain.study import Study
from tunewright.settings import Settings


def recorded_answers(study: Study, settings: Settings) -> Mapping[str, str]:
    """Text of a question -> its answer there; empty where it went on with what was assumed. Nothing where no study is
    replayed, or its journal is gone.
    """
    before = recorded(study, settings)
    return {one.question.text: one.answer for one in before.doubts.settled} if before is not None else {}
