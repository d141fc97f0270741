"""Keeps what is measured out of what is trained on alone: sources that are not split have to be looked through.

Rows of one input are on one side of the split, whatever their targets; so here a row that is trained on alone is left
out if its input is a measured row's, or, of raw text, if it is that input or the input with its target. Case, spacing
and Unicode form make no difference. Copies in other words are not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tunewright.tools.data.example import Example
from tunewright.tools.data.split import normalised


def split_off(examples: Sequence[Example], measured: Iterable[Example]) -> tuple[list[Example], dict[str, int]]:
    """The examples that may be trained on, and how many of each source may not.

    Args:
        examples: of sources that are trained on alone.
        measured: the rows of val and test.
    """
    held = {text for one in measured for text in _texts(one)}
    kept: list[Example] = []
    withheld: dict[str, int] = {}
    for example in examples:
        if held.isdisjoint(_texts(example)):
            kept.append(example)
        else:
            withheld[example.source] = withheld.get(example.source, 0) + 1
    return kept, withheld


def _texts(example: Example) -> set[str]:
    """The texts by which it is known."""
    if example.raw:
        return {normalised(example.target)}
    asked = [turn["content"] for turn in example.messages[:-1] if turn["role"] == "user"][-1:]
    found = {normalised(text) for text in (example.input, f"{example.input} {example.target}", *asked)}
    return found - {""}
