"""A soft punishment for answers that are nearly or quite too long. Yu et al., DAPO, arXiv 2503.14476, section 3.4.

With ``n`` tokens, a limit ``L`` and a margin ``C``: 0 up to ``L - C``, then ``(L - C - n) / C`` down to -1 at ``L``,
and -1 beyond. Add it to a reward for what the answer says. The paper has L = 20480 and C = 4096, a fifth of it.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.reward import Court, Judge, RewardMethod, each


class LengthConfig(MethodConfig):
    """Where the punishment begins and where it is full."""

    limit: int | None = Field(None, gt=0)
    """L, in tokens of the answer without its end token. None: the task's ``max_new_tokens``."""
    margin: int | None = Field(None, gt=0)
    """C, in tokens: how long before the limit the punishment begins. None: a fifth of the limit, as in the paper."""


class Length(RewardMethod):
    """0 for what is short enough, down to -1 for what is not."""

    kind = "length"
    summary = "soft punishment of answers near the limit on tokens: 0 down to -1"
    source = "arXiv 2503.14476"
    names = ("soft overlong punishment", "overlong reward shaping", "length penalty")
    plain_word = True
    Config = LengthConfig
    span = (-1.0, 0.0)
    apart = False

    def check(self, settings: Any, task: TaskSpec | None) -> None:
        """The margin fits below the limit."""
        if settings.limit or task is not None:
            limit, margin = _lengths(settings, task)
            if margin > limit:
                raise UsageError(
                    f"the reward 'length' begins {margin} tokens before a limit of {limit}",
                    "set margin to less than limit",
                )

    def open(self, settings: Any, court: Court) -> Judge:
        """Counts the tokens of the court's tokenizer."""
        tokenizer = court.tokenizer
        if tokenizer is None:
            raise UsageError("the reward 'length' counts tokens, and there is no tokenizer", "open it with the model's")
        limit, margin = _lengths(settings, court.task)

        def score(text: str, row: Row) -> float:
            return overlong(len(tokenizer.encode(text, add_special_tokens=False)), limit, margin)

        return each(score)


def overlong(tokens: int, limit: int, margin: int) -> float:
    """The punishment of an answer of so many tokens; C is the margin."""
    return max(-1.0, min(0.0, (limit - margin - tokens) / margin))


def _lengths(settings: Any, task: TaskSpec | None) -> tuple[int, int]:
    limit: int = settings.limit or (task.max_new_tokens if task is not None else 0)
    return limit, settings.margin or max(1, limit // 5)


METHOD = Length()
