"""The five tasks: which rows they have, and what the program is told of them.

Each has three sources to mix: ``whole`` texts with their labels, the second ``half`` of other texts, and ``noise``,
whole texts with labels drawn at random. What is measured on is like ``whole``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from texts import Passage, key, words

from tunewright.domain.job import DataIdentity, SplitIdentity
from tunewright.domain.task import DataSource, Metric, TaskSpec

SOURCES = ("whole", "half", "noise")
TRAIN_ROWS, VAL_ROWS = 128, 300
"""Training rows of each source, and rows that are measured on."""
LEAST_WORDS, MOST_WORDS, SHOWN = 6, 22, 48
"""A text of fewer words is no row; words that a text is told apart by; characters that are shown of it."""

ORDERS = {"noun": "noun", "gcide": "field", "foldoc": "term", "kjv": "verse"}
"""Source -> what decides, hashed with a text, in which order texts are taken."""

Row = dict[str, Any]


GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "noun": {
        "action": ("04",), "animal": ("05",), "artifact": ("06",), "body": ("08",), "food": ("13",),
        "group": ("14",), "person": ("18",), "place": ("15",), "plant": ("20",), "speech": ("10",),
        "state": ("26",), "substance": ("27",),
    },
    "gcide": {
        "animal": ("Zool",), "body": ("Anat",), "building": ("Arch",), "chemical": ("Chem",), "law": ("Law",),
        "medicine": ("Med",), "mineral": ("Min",), "music": ("Mus",), "plant": ("Bot",), "ship": ("Naut",),
        "star": ("Astron",), "war": ("Mil",),
    },
    "foldoc": {
        "company": ("company",), "data": ("database",), "hardware": ("hardware",), "language": ("language",),
        "mathematics": ("mathematics",), "network": ("networking", "communications"),
        "programming": ("programming",), "slang": ("jargon",), "storage": ("storage",),
        "system": ("operating system",),
    },
    "kjv": {
        "acts": ("Acts",), "chronicles": ("1 Chronicles", "2 Chronicles"), "genesis": ("Genesis",),
        "gospel": ("Matthew", "Mark", "Luke"), "job": ("Job",), "law": ("Leviticus", "Numbers"),
        "letter": ("Romans", "1 Corinthians", "2 Corinthians", "Ephesians", "Galatians"),
        "prophet": ("Ezekiel",), "proverb": ("Proverbs",), "psalm": ("Psalms",),
        "samuel": ("1 Samuel", "2 Samuel"), "vision": ("Revelation",),
    },
}  # fmt: skip
"""Source of passages -> label -> the categories that it stands for. Some of each are kept from the base, whether a task
asks for the label or not."""


@dataclass(frozen=True)
class Task:
    """A question about a passage: which of six kinds it is of."""

    name: str
    use: Literal["tuning", "report"]
    """Whether search methods are tuned on it, or their results reported."""
    source: str
    labels: tuple[str, ...]
    """Of its source's groups."""
    sister: str | None = None
    """The task that is like it."""


TASKS = {
    task.name: task
    for task in (
        Task("concept", "tuning", "noun", ("body", "food", "group", "speech", "state", "substance"), "noun"),
        Task("noun", "report", "noun", ("action", "animal", "artifact", "person", "place", "plant"), "concept"),
        Task("field", "report", "gcide", ("animal", "chemical", "law", "medicine", "plant", "ship")),
        Task("verse", "report", "kjv", ("chronicles", "gospel", "law", "letter", "proverb", "psalm")),
    )
}
"""In the order in which their tables are made."""


def rows_of(task: Task, passages: Iterable[Passage]) -> dict[str, list[Row]]:
    """The rows of ``train`` and of ``val``, each label as often as the others within a source.

    Args:
        passages: of every source, or of the task's at least.
    """
    pools = {label: texts for label, texts in _pools(task.source, passages).items() if label in task.labels}
    chance = random.Random(key(task.name))
    val = _rows(_taken(pools, VAL_ROWS), "whole", "v")
    train: list[Row] = []
    for source in SOURCES:
        taken = _taken(pools, TRAIN_ROWS)
        if source == "half":
            taken = [(" ".join(text.split()[len(text.split()) // 2 :]), label) for text, label in taken]
        elif source == "noise":
            taken = [(text, chance.choice(sorted(task.labels))) for text, _ in taken]
        train += _rows(taken, source, source[0])
    return {"train": train, "val": val}


def reserved(passages: Sequence[Passage]) -> list[str]:
    """Texts that the base must not see: what the tasks are measured on, and as much again of every label."""
    return [
        text for source in GROUPS for texts in _pools(source, passages).values() for text in texts[-2 * VAL_ROWS // 6 :]
    ]


def _pools(source: str, passages: Iterable[Passage]) -> dict[str, list[str]]:
    """Label -> its texts, the first to be taken last."""
    label_of = {category: label for label, given in GROUPS[source].items() for category in given}
    found: dict[str, dict[str, str]] = {label: {} for label in sorted(GROUPS[source])}
    seen: set[str] = set()
    for passage in passages:
        if passage.source != source or passage.category not in label_of:
            continue
        said = words(passage.text)
        if len(said) >= LEAST_WORDS and " ".join(said) not in seen:
            seen.add(" ".join(said))
            found[label_of[passage.category]][" ".join(passage.text.split()[:MOST_WORDS])] = ""
    name = ORDERS[source]
    return {label: sorted(texts, key=lambda text: key(f"{name} {text}")) for label, texts in found.items()}


def _taken(pools: dict[str, list[str]], count: int) -> list[tuple[str, str]]:
    """So many texts with their labels, which take turns; they are gone from the pools."""
    labels = sorted(pools)
    return [(pools[labels[at % len(labels)]].pop(), labels[at % len(labels)]) for at in range(count)]


def _rows(taken: Iterable[tuple[str, str]], source: str, letter: str) -> list[Row]:
    return [
        {"id": f"{letter}{at:04d}", "source": source, "input": _shown(text), "target": label, "meta": {}}
        for at, (text, label) in enumerate(taken)
    ]


def _shown(text: str) -> str:
    """The first words of it."""
    return text if len(text) <= SHOWN else text[: SHOWN + 1].rpartition(" ")[0]


def task_spec(task: Task) -> TaskSpec:
    """The task as a trial is told of it."""
    return TaskSpec(
        model="search-base",
        sources=tuple(DataSource(path=name, name=name, measured=name == "whole") for name in SOURCES),
        format="label",
        input_field="input",
        target_field="target",
        metric=Metric(name="accuracy"),
        labels=tuple(sorted(task.labels)),
        prompt="{input} Kind:",
        max_length=64,
    )


def as_jsonl(rows: Iterable[Row]) -> str:
    """The rows as a frozen split holds them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def data_identity(splits: Mapping[str, list[Row]]) -> DataIdentity:
    """Of the two splits; nothing is sealed here."""

    def identity(rows: list[Row]) -> SplitIdentity:
        return SplitIdentity(digest=hashlib.sha256(as_jsonl(rows).encode()).hexdigest(), rows=len(rows))

    return DataIdentity(train=identity(splits["train"]), val=identity(splits["val"]), test=identity([]))
