"""What a span may hold: bounded text, without secrets."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tunewright.agents.brains.secret import scrubbed
from tunewright.domain.frozen import Json

PROMPT = 16_000
"""Characters of a prompt: the longest that are made on purpose are whole."""
ANSWER = 8_000
TOLD = 4_000
"""Characters of what a tool returned, or of a complaint."""
SAID = 600
"""Characters of a reason, a finding and the like."""
_ITEMS = 40


def cut(text: str, most: int) -> str:
    """The text without secrets; of one that is longer than ``most``, beginning and end, which say what is asked."""
    text = scrubbed(text)
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end]}\n[{len(text) - most:,} characters left out]\n{text[-end:]}"


def bounded(value: Json, most: int = SAID) -> Json:
    """A JSON value with its texts cut and its lists and objects no longer than some tens of items."""
    if isinstance(value, str):
        return cut(value, most)
    if isinstance(value, Mapping):
        return {cut(str(name), 120): bounded(one, most) for name, one in list(value.items())[:_ITEMS]}
    if isinstance(value, list | tuple):
        rest = [f"[{len(value) - _ITEMS} more left out]"] if len(value) > _ITEMS else []
        return [bounded(one, most) for one in value[:_ITEMS]] + rest
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def line(text: str, most: int = SAID) -> str:
    """One line of at most about ``most`` characters."""
    return " ".join(cut(text, most).split())
