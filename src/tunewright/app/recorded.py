"""What was answered in the study whose recording a language model is replayed from."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright.domain.errors import TunewrightError
from tunewright.domain.study import Study
from tunewright.settings import Settings


def recorded_answers(study: Study, settings: Settings) -> Mapping[str, str]:
    """Text of a question -> its answer there; empty where it went on with what was assumed.

    Nothing where the brief is not read from a recording, or its study's journal is not beside it.
    """
    from tunewright.agents.brains import REPLAY, recorded
    from tunewright.agents.reading import ROLE
    from tunewright.tracking.journal import read_study

    spec = study.options.model_of(ROLE) or ""
    if not spec.startswith(REPLAY):
        return {}
    found = recorded(spec.removeprefix(REPLAY), settings.studies)
    try:
        before = read_study(found.parent if found.is_file() else found)
    except TunewrightError:
        return {}
    return {one.question.text: one.answer for one in before.doubts.settled}
