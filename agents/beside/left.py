"""What is left to language models to say of trials that code has judged already: by the journal alone."""

from __future__ import annotations

from tunewright.agents import explaining
from tunewright.agents.reflection import judge, reflector
from tunewright.agents.reflection.critics import critics
from tunewright.domain.outcome import Verdict
from tunewright.domain.study import Study


def panel_roles() -> tuple[str, ...]:
    """Those of the reflection panel."""
    return (reflector.ROLE, judge.ROLE, *(one.role for one in critics()))


def panel_asks(study: Study) -> bool:
    """Whether a language model sits on the reflection panel, so that it meets beside the trials."""
    options = study.options
    return options.asks_models and any(options.model_of(role) is not None for role in panel_roles())


def explained_later(study: Study, verdict: Verdict) -> bool:
    """Whether a verdict is one that a language model is asked about: a gain beyond noise."""
    return verdict.answer == "better" and study.options.model_of(explaining.ROLE) is not None


def unexplained(study: Study) -> list[Verdict]:
    """Gains beyond noise of which nobody has said where they came from, oldest first."""
    return [one for one in study.verdicts if one.answer == "better" and one.trial not in study.insights.explained]


def owed(study: Study) -> bool:
    """Whether a study must not come to its finish yet: something is still to be said of its trials."""
    asked = study.options.model_of(explaining.ROLE) is not None
    unread = any(job.ended and job.id not in study.reflected for job in study.unread)
    return (asked and bool(unexplained(study))) or (unread and panel_asks(study))
