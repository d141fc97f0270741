"""Where a model is still wrong: which labels, taken for which, and the worst single items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tunewright.domain.errors import DataError
from tunewright.domain.outcome import Item
from tunewright.domain.task import Direction
from tunewright.tools.data.rows import load_rows

EXAMPLES = 3
LONGEST = 280
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Example:
    """One item with its input."""

    id: str
    input: str
    target: str
    prediction: str
    score: float


@dataclass(frozen=True)
class Confusion:
    """One label taken for another."""

    target: str
    prediction: str
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class LabelScore:
    """How one label fares."""

    label: str
    rows: int
    right: int

    @property
    def share(self) -> float:
        return self.right / self.rows


def read_items(folder: Path, job: str) -> list[Item]:
    """``trials/<job>/out/items.jsonl``; empty if it is not on disk, without a line torn by a crash."""
    path = folder / "trials" / job / "out" / "items.jsonl"
    items: list[Item] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            items.append(Item.model_validate_json(line))
        except ValidationError:
            break
    return items


def read_inputs(folder: Path) -> dict[str, str]:
    """Row id -> input text of the validation split, as far as it is on disk. The sealed test is never looked at."""
    try:
        return {row["id"]: row["input"] for row in load_rows(folder / "data" / "val.jsonl")}
    except DataError:
        return {}


def confusions(items: Sequence[Item], inputs: Mapping[str, str], most: int = 8) -> list[Confusion]:
    """Pairs of target and wrong prediction, the most frequent first, each with up to three examples."""
    pairs: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        if item.prediction != item.target:
            pairs[item.target, item.prediction].append(item)
    ranked = sorted(pairs.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [
        Confusion(target, said, len(found), tuple(_example(item, inputs) for item in found[:EXAMPLES]))
        for (target, said), found in ranked[:most]
    ]


def label_scores(items: Sequence[Item], most: int = 12) -> list[LabelScore]:
    """Labels by their share of right answers, the worst first; of equals the one with more rows."""
    by_label: dict[str, list[bool]] = defaultdict(list)
    for item in items:
        by_label[item.target].append(item.prediction == item.target)
    scored = [LabelScore(label, len(right), sum(right)) for label, right in by_label.items()]
    return sorted(scored, key=lambda label: (label.share, -label.rows, label.label))[:most]


def worst_items(items: Sequence[Item], inputs: Mapping[str, str], direction: Direction, most: int = 8) -> list[Example]:
    """The items with the worst scores."""
    sign = 1 if direction == "max" else -1
    ranked = sorted(items, key=lambda item: (sign * item.score, item.id))
    return [_example(item, inputs) for item in ranked[:most]]


def _example(item: Item, inputs: Mapping[str, str]) -> Example:
    text = inputs.get(item.id, "")
    return Example(item.id, _short(text), _short(item.target), _short(item.prediction), item.score)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
