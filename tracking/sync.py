"""Makes the tracker's view complete again from the journal and the job folders: after a server was away, or a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewright.domain.event import Tracked
from tunewright.domain.protocols import Record
from tunewright.domain.study import Study
from tunewright.tracking.entry import STUDY
from tunewright.tracking.tracker import StudyTracker


def sync(study: Study, folder: Path, tracker: StudyTracker, record: Record, files: Sequence[Path] = ()) -> list[str]:
    """Writes what the tracker lacks; may be called at any time, and again after it has failed.

    Args:
        folder: the study's folder.
        record: appends to the journal; gets a ``Tracked`` for every run that was not on record.
        files: the report's files, for a study that has finished.

    Returns:
        The jobs that were written, oldest first.

    Raises:
        TrackingError: the store does not answer; what was written until then stays.
    """
    _known(study, STUDY, tracker.start_study(study, folder), record)
    written = []
    for job in list(study.jobs.values()):
        if job.open or tracker.is_complete(study, job.id):
            continue
        place = folder / "trials" / job.id
        _known(study, job.id, tracker.start_job(study, job.id, place), record)
        tracker.finish_job(study, job.id, place)
        written.append(job.id)
    if study.finished is not None:
        tracker.finish_study(study, files)
    return written


def _known(study: Study, job: str, run_id: str, record: Record) -> None:
    if study.runs.get(job) != run_id:
        record(Tracked(job=job, run_id=run_id))
