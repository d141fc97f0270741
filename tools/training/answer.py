"""What of an answer is judged: all of it, or what stands within a tag, as where reasons come before the answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydantic import Field

from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.reward import Judge, each


class AnswerConfig(MethodConfig):
    """The setting that rewards share which look at what an answer says."""

    within: str = Field("", pattern=r"^[\w-]*$")
    """Tag whose content is judged, the last where there are several: ``answer`` for ``<answer>42</answer>``. An answer
    without it is worth nothing. Targets are read likewise, where they have it. Empty: the whole text."""


def content(text: str, tag: str) -> str | None:
    """What stands within the last ``<tag>`` that is closed, in upper or lower case; None if there is none."""
    if not tag:
        return text
    closing = _last(f"</{tag}>", text)
    opening = _last(f"<{tag}>", text[: closing.start()]) if closing else None
    return text[opening.end() : closing.start()] if opening and closing else None


def each_content(tag: str, score: Callable[[str, Row], float], without: float = 0.0) -> Judge:
    """The judge that asks ``score`` of what stands within the tag and the row, its target read likewise.

    Args:
        without: what an answer is worth that has no such tag.
    """

    def judge(text: str, row: Row) -> float:
        said = content(text, tag)
        return without if said is None else score(said, {**row, "target": target(row, tag)})

    return each(judge)


def target(row: Row, tag: str) -> str:
    """What the row's answer should have been: the content of the tag, where the target has it."""
    wanted = content(row["target"], tag)
    return row["target"] if wanted is None else wanted


def _last(mark: str, text: str) -> re.Match[str] | None:
    found = None
    for found in re.finditer(mark, text, re.IGNORECASE):  # noqa: B007  the last one is wanted
        pass
    return found
