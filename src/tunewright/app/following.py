"""Watches a study that some other process runs, from its journal and its running job's own file."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import ValidationError

from tunewright import settings as settings_
from tunewright.app.shelf import folder_of
from tunewright.domain.live import Live, Observer
from tunewright.domain.study import Study
from tunewright.domain.trial_event import trial_event
from tunewright.settings import Settings

_EVERY_S = 0.5


def follow(study: str, *, settings: Settings | None = None, observer: Observer, wait: bool = True) -> None:
    """Calls ``observer`` with everything so far, then with what happens, until no process runs the study.

    Args:
        wait: False gives what is there now and returns.
    """
    from tunewright.tracking.journal import events, holder

    folder = folder_of(settings or settings_.load(), study)
    known, offset, tails = Study(), 0, dict[str, int]()
    while True:
        held = holder(folder) is not None  # asked first, so that what its last moments wrote is still read
        found, offset = events(folder, offset)
        for one in found:
            known.fold(one)
            observer(one)
        for job in [job.id for job in known.jobs.values() if job.open]:
            tails[job] = _tail(folder / "trials" / job / "out" / "events.jsonl", job, tails.get(job, 0), observer)
        if not (wait and held):
            return
        time.sleep(_EVERY_S)


def _tail(path: Path, job: str, offset: int, observer: Observer) -> int:
    """Gives the whole lines from byte ``offset`` on; the offset to go on from. What is no event is passed over."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return offset
    whole = data.rfind(b"\n") + 1
    for line in data[:whole].splitlines():
        try:
            observer(Live(job, trial_event.validate_json(line)))
        except ValidationError:
            continue
    return offset + whole
