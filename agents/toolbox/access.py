"""What tools may reach of a study: jobs of the search, their scored items, and the rows of train and validation.

The sealed test is out of reach by construction: rows are read by the name of one of two splits, items by the id of a
job that the journal knows and that is no test, and no tool makes a path of anything else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tunewright.agents.prompt import quoted
from tunewright.domain.errors import DataError, UsageError
from tunewright.domain.outcome import Item
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.tools.data.rows import Row, load_rows

Open = Literal["train", "val"]
"""The splits that may be looked at."""
_ROLES = ("base", "trial", "confirm")
_SAFE = re.compile(r"[\w-]+")


def the_job(study: Study, id: str) -> JobRecord:
    """The base model's evaluation, a trial or a confirmation.

    Raises:
        UsageError: there is none of that id, or it is one that reads the sealed test.
    """
    job = study.jobs.get(id)
    if job is not None and job.role in _ROLES and _SAFE.fullmatch(id):
        return job
    if job is not None and job.role == "test":
        raise UsageError(f"{quoted(id)} reads the sealed test, which no tool can look at", _ids(study))
    raise UsageError(f"there is no trial {quoted(id[:60])}", _ids(study))


def the_recipe_job(study: Study, id: str) -> str:
    """The trial's id, if it has a recipe.

    Raises:
        UsageError: it has none.
    """
    if id in study.proposals:
        return id
    the_job(study, id)
    raise UsageError(f"{quoted(id)} has no recipe of its own", _ids(study))


def scored_items(study: Study, folder: Path, id: str) -> list[Item]:
    """The scored rows that a job left, of the validation split.

    Raises:
        UsageError: no such job, or it has not been scored on all rows.
    """
    from tunewright.tools.analysis.slices import read_items

    job = the_job(study, id)
    items = read_items(folder, job.id) if job.score is not None else []
    if not items:
        status = job.outcome.status if job.outcome is not None else "running"
        scored = [job.id for job in study.trials if job.score is not None][-8:]
        raise UsageError(
            f"{id} has no scored items: its status is {status}",
            f"choose one that was scored to its end, such as {', '.join(scored) or 'a later one'}",
        )
    return items


def rows_of(folder: Path, split: Open) -> list[Row]:
    """The frozen rows of a split that may be looked at.

    Raises:
        UsageError: they are not on disk.
    """
    assert split in ("train", "val"), "the arguments' type allows no other"
    try:
        return load_rows(folder / "data" / f"{split}.jsonl")
    except DataError as error:
        raise UsageError(
            f"the rows of {split} cannot be read", "look at the data profile, which the journal has"
        ) from error


def the_field(name: str, known: Iterable[str]) -> str:
    """The name, if it is one of the known.

    Raises:
        UsageError: it is not; the hint has the nearest.
    """
    names = list(dict.fromkeys(known))
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.4) or names[:12]
    raise UsageError(f"there is no field {quoted(name[:80])}", f"near it are {', '.join(close)}")


def _ids(study: Study) -> str:
    trials = [job.id for job in study.trials]
    if not trials:
        return "no trial was run yet"
    return f"trials are {trials[0]} to {trials[-1]}" if len(trials) > 1 else f"the only trial is {trials[0]}"
