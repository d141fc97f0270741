"""Finds studies and reads them, running or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tunewright import settings as settings_
from tunewright.domain.errors import unknown_name
from tunewright.domain.study import Study
from tunewright.domain.summary import Summary, summarise
from tunewright.settings import Settings


def quiet(_: object) -> None:
    """The observer of those who do not watch."""


def folder_of(settings: Settings, study: str) -> Path:
    """The study's folder.

    Raises:
        UnknownNameError: there is no such study in this home.
    """
    known = studies(settings=settings)
    if study not in known:
        hint = f"Studies are looked for in {settings.studies}; TUNEWRIGHT_HOME says where."
        raise unknown_name("study", study, known, hint)
    return settings.studies / study


def studies(*, settings: Settings | None = None) -> list[str]:
    """Every study's name, the oldest first."""
    root = (settings or settings_.load()).studies
    found = [path.parent for path in root.glob("*/journal.jsonl")]
    return [path.name for path in sorted(found, key=lambda path: (path.stat().st_ctime, path.name))]


def load(study: str, *, settings: Settings | None = None) -> Study:
    """The study as its journal tells it: ``load("route-01").trials``."""
    from tunewright.tracking.journal import read_study

    return read_study(folder_of(settings or settings_.load(), study))


def status(study: str, *, settings: Settings | None = None) -> Summary:
    """Where a study stands."""
    from tunewright.tracking.journal import holder

    settings = settings or settings_.load()
    return summarise(load(study, settings=settings), running=holder(folder_of(settings, study)) is not None)


def report(study: str, *, settings: Settings | None = None) -> tuple[Path, Path]:
    """Writes the report anew from the journal: (Markdown, HTML)."""
    settings = settings or settings_.load()
    return write_report(load(study, settings=settings), folder_of(settings, study))


def write_report(study: Study, folder: Path, facts: Mapping[str, str] | None = None) -> tuple[Path, Path]:
    """The report of a study that is already open: (Markdown, HTML) in its folder."""
    from tunewright.search.importance import importance
    from tunewright.tools.analysis.report import write_report as write

    return write(study, folder, importance=importance(study), facts=facts)
