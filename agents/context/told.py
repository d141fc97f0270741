"""A study's history in a prompt, in what the rest of the prompt leaves of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tunewright.agents.context.compress import compress
from tunewright.agents.context.history import history
from tunewright.agents.context.tokens import tokens
from tunewright.agents.prompt import render
from tunewright.domain.frozen import Json
from tunewright.domain.study import Study

PROMPT_TOKENS = 6_000
"""Of a prompt with its history: a small model's window with room for the answer and for tools."""
LEAST = 600
"""Tokens that a history gets where the rest of the prompt, such as a space of very many settings, leaves it fewer."""


def with_history(
    name: str,
    study: Study,
    query: str | Iterable[str] = "",
    *,
    budget: int = PROMPT_TOKENS,
    askable: bool = False,
    **given: Json,
) -> str:
    """The prompt ``prompts/NAME.md`` with ``standing``, ``runs``, ``lessons`` and ``left_out`` filled in: lines of the
    study's history that together with all else take at most ``budget`` tokens, however long the history is.

    Args:
        query: what the history is wanted for: words, or ids. Nothing: what it is about as a whole.
        askable: whether whoever reads it has tools to ask for what was left out.
        given: what else the prompt names.
    """

    def made(lines: Callable[..., list[str]], left_out: list[str]) -> str:
        return render(
            name,
            standing=lines("budget", "constraint", "note"),
            runs=lines("trial", "fault", "verdict", "steering", "explanation", "decision"),
            lessons=lines("lesson"),
            left_out=left_out,
            **given,
        )

    # A lesson and a line on what is left out bring headings with them, which have to be paid for as well.
    bare = tokens(made(lambda *kinds: [""] if "lesson" in kinds else [], [""]))
    down = study.task is not None and study.task.metric.direction == "min"
    found = compress(history(study), max(LEAST, budget - bare), query=query, askable=askable, lower_is_better=down)
    return made(found.of, list(found.left_out))
