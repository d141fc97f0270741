"""``tunewright lessons``: what all studies have learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunewright import app
from tunewright import settings as settings_
from tunewright.cli.output import console, only_json, print_json

if TYPE_CHECKING:
    from tunewright.tracking.lessons import Kept


def lessons(study: str | None, *, rebuild: bool, json: bool) -> int:
    """One row a lesson, the oldest first."""
    settings = settings_.load()
    with only_json(json):
        found = app.lessons(study, rebuild=rebuild, settings=settings)
    if json:
        print_json({"lessons": [_entry(one) for one in found]})
        return 0
    if not found:
        print(f"no lessons in {settings.home}" + (f" of study {study}" if study else ""))
        return 0

    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("id", "claim", "counters", "confidence", "study"):
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "counters"))
    for kept in found:
        one = kept.remembered
        stands = f"{one.helpful}:{one.harmful}" + (" dropped" if one.dropped else "")
        table.add_row(one.id, one.lesson.claim, stands, f"{one.confidence:.2f}", kept.study)
    console(stderr=False).print(table)
    return 0


def _entry(kept: Kept) -> dict[str, object]:
    one = kept.remembered
    return {
        "id": one.id,
        "claim": one.lesson.claim,
        "helpful": one.helpful,
        "harmful": one.harmful,
        "contradicted": one.contradicted,
        "confidence": round(one.confidence, 4),
        "dropped": one.dropped,
        "study": kept.study,
        "by": one.lesson.by,
        "tags": list(one.lesson.tags),
        "supporting": list(one.lesson.supporting),
        "contradicting": list(one.lesson.contradicting),
    }
