"""Finds studies and reads them, running or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright import settings as settings_
from tunewright.domain.errors import DataError, unknown_name
from tunewright.domain.job import job_spec
from tunewright.domain.study import Study
from tunewright.domain.summary import Summary, summarise
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.tools.analysis.configuration import Table

_FACTS = "sandbox.json"


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
    folder, known = folder_of(settings, study), load(study, settings=settings)
    summary = summarise(known, running=holder(folder) is not None)
    stale = _stale(known, folder) if summary.state == "paused" else ""
    return summary.model_copy(update={"reason": stale}) if stale else summary


def _stale(study: Study, folder: Path) -> str:
    """Why a trial that was left in the middle cannot go on: code or packages are not those it was approved with."""
    from tunewright.tracking.identity import code_identity

    left = [job for job in (*study.unfinished, *study.waiting) if job.role == "trial"]
    if not left:
        return ""
    now = code_identity()
    for job in left:
        try:
            was = job_spec.validate_json((folder / "trials" / job.id / "spec.json").read_bytes()).code
        except (OSError, ValueError):
            continue  # nothing was staged, or it is of another version: a resume says what it finds
        if (was.digest, was.packages) == (now.digest, now.packages):
            continue
        what = "the code has" if was.digest != now.digest else "packages have"
        return f"{what} changed since {job.id} was approved: bring back what it was, or start a new study"
    return ""


def report(study: str, *, settings: Settings | None = None) -> tuple[Path, Path]:
    """Writes the report anew from the journal: (Markdown, HTML)."""
    settings = settings or settings_.load()
    return write_report(load(study, settings=settings), folder_of(settings, study))


def write_report(study: Study, folder: Path) -> tuple[Path, Path]:
    """The report of a study that is already open: (Markdown, HTML) in its folder."""
    from tunewright.agents.advice.told import ideas_table
    from tunewright.agents.risk.told import calibration_table
    from tunewright.search.importance import importance
    from tunewright.tools.analysis.plan_tables import plan_tables
    from tunewright.tools.analysis.report import write_report as write

    tables = (*plan_tables(study), ideas_table(study), calibration_table(study), _by_domain(study, folder))
    sections = [table for table in tables if table is not None and table.rows]
    return write(study, folder, importance=importance(study), facts=_facts(folder), sections=sections)


def _by_domain(study: Study, folder: Path) -> Table | None:
    """None also where the items are gone: a report is written from what there is."""
    from tunewright.agents.domains import domain_table

    try:
        return domain_table(study, folder)
    except DataError:
        return None


def keep_facts(folder: Path, facts: Mapping[str, str]) -> None:
    """Writes down what the sandbox says of itself, for a report that is written when none is open."""
    (folder / _FACTS).write_text(json.dumps(dict(facts), indent=2) + "\n", encoding="utf-8")


def _facts(folder: Path) -> dict[str, str]:
    """What the last session's sandbox said of itself; nothing where there was none yet."""
    try:
        return {str(name): str(said) for name, said in json.loads((folder / _FACTS).read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}
