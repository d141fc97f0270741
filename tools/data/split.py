"""Which rows train, which measure, which stay sealed: decided by content alone.

A row's place depends on the hashes of the contents and on the seed, never on the order of rows or files. All rows
with the same input are one group and go to the same side, whatever their targets: an input that was trained on
measures memory, not skill.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunewright.domain.errors import DataError
from tunewright.domain.job import Split

SHARES: dict[Split, float] = {"train": 0.70, "val": 0.15, "test": 0.15}
SIDES: tuple[Split, ...] = tuple(SHARES)


def normalised(text: str) -> str:
    """What two texts have in common that differ only in case, spacing or Unicode form."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def content_id(text: str, target: str) -> str:
    """16 hexadecimal characters that name a content: its normalised input and target."""
    return _sha256(normalised(text), normalised(target))[:16]


@dataclass
class _Group:
    """All rows with one input."""

    key: str
    """Hash of the seed and the input: a fixed random place in any order."""
    rows: list[int] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)


def split(inputs: Sequence[str], labels: Sequence[str], *, seed: int) -> dict[Split, list[int]]:
    """Indices of the rows of each side, each row once, every side in a random order fixed by content and seed.

    70/15/15 within each label as far as whole groups allow; what a label cannot give exactly is evened out over the
    next. A label that occurs in one group only goes to train, and no side is empty.

    Args:
        inputs: the rows' inputs.
        labels: the rows' labels, or the empty text for each where there are none.
        seed: another seed gives another split.

    Raises:
        DataError: too few different inputs for three sides.
    """
    groups = _groups(inputs, labels, seed)
    strata = _strata(groups)
    sides: dict[Split, list[_Group]] = {side: [] for side in SIDES}
    carry = dict.fromkeys(SIDES, 0.0)
    for label in sorted(strata):
        carry = _deal(strata[label], label, carry, sides)
    _fill(sides, len(inputs))
    return {
        side: [row for group in sorted(sides[side], key=lambda group: group.key) for row in group.rows]
        for side in SIDES
    }


def _groups(inputs: Sequence[str], labels: Sequence[str], seed: int) -> list[_Group]:
    """Rows with equal normalised inputs, in order of their hash."""
    groups: dict[str, _Group] = {}
    for row, (text, label) in enumerate(zip(inputs, labels, strict=True)):
        key = _sha256(str(seed), normalised(text))
        group = groups.setdefault(key, _Group(key))
        group.rows.append(row)
        group.labels.add(label)
    return [groups[key] for key in sorted(groups)]


def _strata(groups: Sequence[_Group]) -> dict[str, list[_Group]]:
    """Label -> its groups. A group with several labels counts for the rarest, which needs it most."""
    frequency = Counter(label for group in groups for label in group.labels)
    strata: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        strata[min(group.labels, key=lambda label: (frequency[label], label))].append(group)
    return strata


def _deal(
    stratum: Sequence[_Group], label: str, carry: dict[Split, float], sides: dict[Split, list[_Group]]
) -> dict[Split, float]:
    """Gives each group of a label to the side that still lacks the most rows; returns what each side lacks after.

    The first group always trains. What is carried over is bounded by one row, so that a label with one huge group
    does not take the rows of all labels after it.
    """
    rows = sum(len(group.rows) for group in stratum)
    lacks = {side: SHARES[side] * rows + carry[side] for side in SIDES}
    # Which of two equal sides is served first is random by label, or rare labels would never be tested.
    order = SIDES if int(_sha256(label)[0], 16) % 2 else ("train", "test", "val")
    for number, group in enumerate(stratum):
        side: Split = "train" if number == 0 else max(order, key=lambda side: lacks[side])
        sides[side].append(group)
        lacks[side] -= len(group.rows)
    return {side: min(1.0, max(-1.0, lacks[side])) for side in SIDES}


def _fill(sides: dict[Split, list[_Group]], rows: int) -> None:
    """Moves a group to each side that is empty: one whose labels are all trained on in the most other groups.

    Raises:
        DataError: no group can be spared, which takes fewer inputs than labels and two more.
    """
    others: dict[Split, Split] = {"val": "test", "test": "val"}
    for side, other in others.items():
        if sides[side]:
            continue
        trained = Counter(label for group in sides["train"] for label in group.labels)
        spare = max(sides["train"], key=lambda group: (min(trained[label] for label in group.labels), group.key))
        giver: Split = "train" if min(trained[label] for label in spare.labels) > 1 else other
        if giver == other and len(sides[other]) < 2:
            groups = [group for members in sides.values() for group in members]
            labels = len({label for group in groups for label in group.labels})
            raise DataError(
                f"{rows} rows have {len(groups)} different inputs, expected at least {labels + 2}: "
                + (f"one of each of {labels} labels" if labels > 1 else "one")
                + " to train on, one to validate and one to test",
                "add rows with other inputs; 200 give a first idea, 1,000 a useful one",
            )
        given = spare if giver == "train" else max(sides[other], key=lambda group: group.key)
        sides[giver].remove(given)
        sides[side].append(given)


def _sha256(*parts: str) -> str:
    """Hash of texts, told apart by a byte that UTF-8 never holds."""
    return hashlib.sha256(b"\xff".join(part.encode() for part in parts)).hexdigest()
