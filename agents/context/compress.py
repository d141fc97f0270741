"""Passages to a token budget: pins, a choice of the rest, and a line that says what was left out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunewright.agents.context.ledger import Ledger, ledger
from tunewright.agents.context.passage import Kind, Passage
from tunewright.agents.context.pins import Line, fitted, whole
from tunewright.agents.context.selection import TASTE, Taste, select
from tunewright.agents.context.tokens import line_tokens

MOST = 384
"""Passages that are weighed against each other, whatever a history's length: time and memory grow with the square."""
PINS_SHARE = 0.5
"""Of the budget, from which on pins are shortened."""
_LEDGER_SHARE, _LEDGER_MOST = 0.2, 192
"""Share of the budget, and tokens, of which the smaller is kept for what is said of what was left out: half of it for
the line with the ids, half for sums."""
_LEAST_LINE = 24
"""Tokens that say how many were left out, of each kind."""


@dataclass(frozen=True)
class Compressed:
    """A history within its budget. Lines are in the order of time."""

    lines: tuple[Line, ...]
    left_out: tuple[str, ...]
    """Lines on what was left out; none where nothing was."""
    ledger: Ledger
    budget: int

    @property
    def tokens(self) -> int:
        """Of all lines in a prompt's list; never above the budget."""
        return sum(line.tokens for line in self.lines) + sum(map(line_tokens, self.left_out))

    @property
    def ids(self) -> set[str]:
        """Of what is in, whole or shortened."""
        return {id for line in self.lines for id in line.ids}

    def of(self, *kinds: Kind) -> list[str]:
        """The lines of these kinds."""
        return [line.text for line in self.lines if line.kind in kinds]


def compress(
    passages: Sequence[Passage],
    budget: int,
    *,
    query: str | Iterable[str] = "",
    askable: bool = False,
    lower_is_better: bool = False,
    taste: Taste = TASTE,
) -> Compressed:
    """The history in at most ``budget`` tokens. All of it where it fits; the same for the same passages.

    Args:
        query: what it is for: words, or ids of passages. Nothing: what the whole is about.
        askable: whether whoever reads it can ask for what was left out.
        lower_is_better: of the scores, for what is told of trials that were left out.
        taste: weights of the choice.
    """
    ordered = sorted(passages, key=lambda one: (one.order, one.id))
    # No line takes less than four tokens, so a history that is longer than this need not be written to be weighed.
    if len(ordered) <= max(MOST, budget // 4) and sum(one.tokens for one in ordered) <= budget:
        return Compressed(tuple(map(whole, ordered)), (), Ledger((), ()), budget)
    kept_for_ledger = min(_LEDGER_MOST, int(_LEDGER_SHARE * budget))
    pins = [one for one in ordered if one.pin is not None]
    pinned = fitted(pins, _pins_budget(pins, budget, kept_for_ledger))
    spent = sum(line.tokens for line in pinned)
    weighed = _thinned(ordered)
    at_pins = [at for at, one in enumerate(weighed) if one.pin is not None]
    asked = query if isinstance(query, str) else list(query)
    chosen = select(weighed, budget - kept_for_ledger - spent, query=asked, taken=at_pins, taste=taste)
    lines = sorted([*pinned, *(whole(weighed[at]) for at in chosen)], key=lambda line: (line.order, line.ids))
    had = {id for line in lines for id in line.ids}
    book = ledger([one for one in ordered if one.id not in had], lower_is_better=lower_is_better)
    left = budget - sum(line.tokens for line in lines)
    first = book.line(min(left, max(_LEAST_LINE, kept_for_ledger // 2)), askable=askable)
    left_out = [first] if first else []
    left -= sum(map(line_tokens, left_out))
    for family in book.families:
        if line_tokens(family.line) <= left:
            left_out.append(family.line)
            left -= line_tokens(family.line)
    return Compressed(tuple(lines), tuple(left_out), book, budget)


def _pins_budget(pins: Sequence[Passage], budget: int, kept_for_ledger: int) -> int:
    """Half of the budget, or what the pins other than faults take, up to all but the ledger's line."""
    firm = sum(one.tokens for one in pins if one.kind != "fault")
    return max(0, min(budget - kept_for_ledger, max(int(PINS_SHARE * budget), firm)))


def _thinned(ordered: Sequence[Passage]) -> list[Passage]:
    """At most ``MOST`` of them, in their order: the pins that come first in rank, then half of the rest by their prior
    and half spread evenly over the time.
    """
    if len(ordered) <= MOST:
        return list(ordered)
    ranked = sorted((one for one in ordered if one.pin is not None), key=lambda one: (one.pin or 0, _newer(one)))
    keep = {one.id for one in ranked[: MOST // 2]}
    by_prior = sorted((one for one in ordered if one.pin is None), key=lambda one: (-one.prior, _newer(one)))
    keep |= {one.id for one in by_prior[: (MOST - len(keep)) // 2]}
    rest = [one for one in ordered if one.pin is None and one.id not in keep]
    step = max(1, math.ceil(len(rest) / max(1, MOST - len(keep))))
    keep |= {one.id for one in rest[::step]}
    return [one for one in ordered if one.id in keep]


def _newer(one: Passage) -> tuple[int, ...]:
    return tuple(-part for part in one.order)
