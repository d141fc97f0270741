"""What is always in, made to fit. Pins are in whole where they fit into their share; else they are shortened:

1. Of faults the newest of each cause and family stays whole, or where that is too much the newest of each cause, or
   none. The others are listed by their ids, a line for each cause: all of them where a quarter of the share holds them,
   else as many of the newest as it holds, and how many more there are.
2. The other pins are cut, the longest first and to one length; their ids stay.
3. What does not fit even so is left out, the last in rank first, and the ledger says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewright.agents.context.passage import Kind, Passage
from tunewright.agents.context.tokens import line_tokens

_LEAST = 12
"""Tokens below which a cut line says nothing beyond its id."""
LISTS_SHARE = 0.25
"""Of the pins' share, for lists of faults."""


@dataclass(frozen=True)
class Line:
    """A line of the outcome."""

    text: str
    kind: Kind
    order: tuple[int, ...]
    ids: tuple[str, ...]
    """What it stands for."""

    @property
    def tokens(self) -> int:
        return line_tokens(self.text)


def whole(passage: Passage) -> Line:
    """The passage as it is."""
    return Line(passage.line, passage.kind, passage.order, (passage.id,))


def fitted(pins: Sequence[Passage], budget: int) -> list[Line]:
    """Lines for the pins, within ``budget`` tokens."""
    ranked = sorted(pins, key=lambda one: (one.pin or 0, one.order))
    firm, faults = [[one for one in ranked if (one.kind == "fault") is fault] for fault in (False, True)]
    newest_first = sorted(faults, key=lambda one: one.order, reverse=True)
    if sum(one.tokens for one in ranked) <= budget:
        return [whole(one) for one in ranked]
    by_rule: tuple[Callable[[Passage], object], ...] = (
        lambda one: (one.cause, one.family),
        lambda one: one.cause,
        lambda one: None,
    )
    for rule in by_rule:
        newest = {rule(one): one for one in reversed(newest_first)}
        kept = [one for key, one in newest.items() if key is not None]
        lines = [whole(one) for one in (*firm, *kept)]
        groups = _grouped(newest_first, kept)
        left = min(budget - sum(line.tokens for line in lines), int(LISTS_SHARE * budget) if kept else budget)
        if left >= _LEAST * len(groups):
            return [*lines, *_within(groups, newest_first, left)]
    return _cut_to(firm, _grouped(newest_first, []), newest_first, budget)


def cut(text: str, most: int) -> str:
    """The text's beginning, at most so many tokens as a line, with the end marked; quotes that it opens are closed."""
    if line_tokens(text) <= most:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if line_tokens(closed(text[:middle])) <= most else (low, middle - 1)
    return closed(text[:low]) if low else ""


def closed(text: str) -> str:
    """The beginning of a text with its end marked, and a quotation that it opens closed."""
    text = text.rstrip().rstrip("\\")
    quoted = text.replace("\\\\", "").replace('\\"', "").count('"') % 2
    return text + " ..." + ('"' if quoted else "")


def _grouped(newest_first: Sequence[Passage], kept: Sequence[Passage]) -> list[Line]:
    """A line for each cause of faults that are not kept whole."""
    apart = {one.id for one in kept}
    causes: dict[str, list[Passage]] = {}
    for one in newest_first:
        if one.id not in apart:
            causes.setdefault(one.cause, []).append(one)
    return [_group(cause, ones, len(ones)) for cause, ones in sorted(causes.items())]


def _group(cause: str, ones: Sequence[Passage], named: int) -> Line:
    names = " ".join(one.id for one in ones[:named])
    more = f" and {len(ones) - named} older" if named < len(ones) else ""
    text = f"{len(ones)} fault{'' if len(ones) == 1 else 's'} of kind {cause}" + (f": {names}{more}" if named else "")
    return Line(text, "fault", ones[0].order, tuple(one.id for one in ones[:named]))


def _within(groups: Sequence[Line], newest_first: Sequence[Passage], budget: int) -> list[Line]:
    """The groups' lines with as many ids as each one's share of the budget has room for."""
    made: list[Line] = []
    for number, group in enumerate(groups):
        share = (budget - sum(line.tokens for line in made)) // (len(groups) - number)
        ones = [one for one in newest_first if one.id in set(group.ids)]
        low, high = 0, len(ones)
        while low < high:
            middle = (low + high + 1) // 2
            fits = _group(ones[0].cause, ones, middle).tokens <= share
            low, high = (middle, high) if fits else (low, middle - 1)
        line = _group(ones[0].cause, ones, low)
        if line.tokens <= share:
            made.append(line)
    return made


def _cut_to(
    firm: Sequence[Passage], groups: Sequence[Line], newest_first: Sequence[Passage], budget: int
) -> list[Line]:
    """The other pins cut to the largest length at which all fit beside a few words for each cause of faults."""
    left = budget - _LEAST * len(groups)
    kept = list(firm)
    while kept and sum(min(one.tokens, _LEAST) for one in kept) > left:
        kept.pop()
    low, high = _LEAST, max((one.tokens for one in kept), default=_LEAST)
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(min(one.tokens, middle) for one in kept) <= left
        low, high = (middle, high) if fits else (low, middle - 1)
    cuts = [Line(cut(one.line, low), one.kind, one.order, (one.id,)) for one in kept]
    made = [line for line in cuts if line.text.startswith(f"{line.ids[0]}:")]
    return [*made, *_within(groups, newest_first, budget - sum(line.tokens for line in made))]
