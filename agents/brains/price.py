"""What a call can cost at most, and what it did cost."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from tunewright.agents.brains.library import litellm_library
from tunewright.domain.budget import Cost
from tunewright.domain.frozen import Json

_ASCII_A_TOKEN = 2
"""Characters of plain text: English has four and more, digits and code fewer."""
_OVERHEAD = 50
"""Tokens that a server puts around the messages."""


@dataclass(frozen=True)
class Bound:
    """The most that a call can cost."""

    tokens: int
    usd: float | None
    """None where the price is not known."""

    @property
    def cost(self) -> Cost:
        return Cost(llm_tokens=self.tokens, usd=self.usd or 0.0)


def bound(model: str, body: dict[str, Json]) -> Bound:
    """The bound of a request.

    Args:
        body: its ``messages`` and ``max_tokens``, with ``tools`` and ``response_format`` where there are any.
    """
    sent = [body["messages"], body.get("tools"), body.get("response_format")]
    asked = count(json.dumps([part for part in sent if part], ensure_ascii=False)) + _OVERHEAD
    most = int(body["max_tokens"])
    try:
        prices = litellm_library().cost_per_token(model=model, prompt_tokens=asked, completion_tokens=most)
    except Exception:  # litellm has no one error for a model it has no price of
        return Bound(asked + most, None)
    return Bound(asked + most, float(sum(prices)))


def count(text: str) -> int:
    """Tokens of a text, at most: a byte-level vocabulary has none that is less than a byte."""
    plain = sum(character.isascii() for character in text)
    return math.ceil(plain / _ASCII_A_TOKEN) + len(text.encode("utf-8", "replace")) - plain


def bill(model: str, response: Any, written: str) -> Cost:
    """What an answer cost, by what the server says of it. A server that does not count is counted by its characters,
    never as free.

    Args:
        written: all that went in and came out, for a server that does not count.
    """
    usage = getattr(response, "usage", None)
    parts = [_whole(usage, name) for name in ("prompt_tokens", "completion_tokens")]
    tokens = max(_whole(usage, "total_tokens"), sum(parts))
    if tokens == 0:
        tokens = count(written)
    try:
        usd = float(litellm_library().completion_cost(completion_response=response, model=model))
    except Exception:  # no price is known; under a dollar budget the guard has refused the call
        usd = 0.0
    return Cost(llm_tokens=tokens, usd=usd if math.isfinite(usd) and usd > 0 else 0.0)


def answer_tokens(response: Any) -> int | None:
    """Tokens of the answer alone, as the server says; None where it does not."""
    return _whole(getattr(response, "usage", None), "completion_tokens") or None


def _whole(usage: Any, name: str) -> int:
    value = getattr(usage, name, 0)
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) else 0
