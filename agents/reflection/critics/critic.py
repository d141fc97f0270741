"""What a critic is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewright.agents.reflection.case import Case
from tunewright.domain.finding import Finding


@dataclass(frozen=True)
class Critic:
    """One side to look from.

    Attributes:
        role: ``critic.NAME``; ``StudyOptions.llms`` may give it a model of its own.
        prompt: the file in ``prompts/`` that a language model is asked with.
        find: what rules find; None where this side has nothing to say.
        facts: lines of facts from this side, for the prompt of a language model.
    """

    role: str
    prompt: str
    find: Callable[[Case], Finding | None]
    facts: Callable[[Case], Sequence[str]]
