"""Whether the answer matches a regular expression, and what it captures is the target.

Patterns are those of the library ``regex``, which knows Python's own and can be stopped: an answer on which a pattern
takes longer than its time counts as one that does not match, since that is where backtracking explodes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.scorer import spaced
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.reward import Court, Judge, RewardMethod, each


class RegexConfig(MethodConfig):
    """The pattern and what of it counts."""

    pattern: str = ""
    """The regular expression, searched for anywhere: ``answer: (.*)``. There is no default that makes sense."""
    group: int | str | None = None
    """Number or name of the group that must be the row's target, white space aside. None: a match is enough."""
    pick: Literal["last", "first"] = "last"
    """Which match is meant where there are several."""
    timeout_s: float = Field(0.5, gt=0)
    """What the pattern may take on one answer."""


class Regex(RewardMethod):
    """1 for a match, 0 for none."""

    kind = "regex"
    summary = "a pattern is found, and what it captures is the target: 1, else 0"
    source = "the library regex"
    names = ("regular expression", "regex reward", "pattern match")
    Config = RegexConfig
    quoted = "pattern"
    apart = False

    def check(self, settings: Any, task: TaskSpec | None) -> None:
        """The pattern must be one, and have the group."""
        if not settings.pattern:
            raise UsageError(
                "the reward 'regex' has no pattern",
                "put it in quotes after 'regular expression' in the brief; in a recipe set pattern, such as "
                "'answer: (.*)', and group: 1 if that is to be the target",
            )
        compiled = _compiled(settings.pattern)
        group = settings.group
        if group is not None and group not in compiled.groupindex and group not in range(compiled.groups + 1):
            raise UsageError(
                f"the pattern '{settings.pattern}' has no group {group!r}",
                f"it has {compiled.groups}, and by name {', '.join(compiled.groupindex) or 'none'}",
            )

    def open(self, settings: Any, court: Court) -> Judge:
        """Searches each answer."""
        pattern = _compiled(settings.pattern)

        def score(text: str, row: Row) -> float:
            try:
                found = list(pattern.finditer(text, timeout=settings.timeout_s))
            except TimeoutError:
                return 0.0
            if not found or settings.group is None:
                return float(bool(found))
            captured = found[-1 if settings.pick == "last" else 0].group(settings.group)
            return float(captured is not None and spaced(captured) == spaced(row["target"]))

        return each(score)


def _compiled(pattern: str) -> Any:
    import regex

    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise UsageError(
            f"'{pattern}' is no regular expression: {error}", "see the documentation of the library regex"
        ) from error


METHOD = Regex()
