"""Language models and their stand-in, behind the domain's ``Brain``."""

from __future__ import annotations

from collections.abc import Callable

from tunewright.agents.brains.guard import budget_guard
from tunewright.domain.event import ModelAsked
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study

SCRIPTED = "scripted:"


def open_brain(spec: str, *, record: Callable[[ModelAsked], None], study: Callable[[], Study]) -> Brain:
    """The brain that ``--llm`` names.

    Args:
        spec: ``scripted:FILE``, or a litellm model string such as ``openai/gpt-4o-mini`` or ``ollama/qwen3``.
        record: is told every call and its cost, before its answer is used.
        study: the study as it stands; its budget is asked before every call.

    Raises:
        UsageError: the script cannot be read.
    """
    guard = budget_guard(study)
    if spec.startswith(SCRIPTED):
        from tunewright.agents.brains.scripted import ScriptedBrain

        return ScriptedBrain(spec.removeprefix(SCRIPTED), record=record, guard=guard, asked=study().model_calls)
    from tunewright.agents.brains.litellm import LitellmBrain

    return LitellmBrain(spec, record=record, guard=guard)
