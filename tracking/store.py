"""Where runs are kept: the few operations that MLflow and the in-memory stand-in have in common.

``StudyTracker`` decides what is logged; a store only keeps it. Every method raises ``TrackingError`` if it
gets no answer, and may be called again with the same facts without doubling them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.domain.frozen import Frozen

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


class Point(NamedTuple):
    """One value of a curve."""

    key: str
    value: float
    step: int
    at: float
    """Seconds since the epoch."""


class RunRecord(Frozen):
    """A run as the store has it."""

    id: str
    name: str
    status: str
    parent: str | None = None
    """The study's run, for a job's."""
    tags: dict[str, str] = {}
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    """The last value of each."""


class RunStore(Protocol):
    """Keeps runs: tags, params, metrics and files."""

    def create(self, name: str, tags: Mapping[str, str], parent: str | None) -> str:
        """A new running run's id."""

    def find(self, tags: Mapping[str, str]) -> str | None:
        """The newest run that has all these tags, or None."""

    def find_all(self, tags: Mapping[str, str], most: int) -> list[str]:
        """The newest runs that have all these tags, the newest first."""

    def get(self, run_id: str) -> RunRecord | None:
        """The run, or None if there is none of that id."""

    def starting_with(self, prefix: str) -> list[str]:
        """Ids of the runs that begin so; at most a hundred."""

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        points: Sequence[Point] = (),
    ) -> None:
        """Adds params (once each), tags (the last one stays) and points of curves."""

    def upload(self, run_id: str, source: Path, under: str = "") -> None:
        """Keeps a file, or a folder's content, in the run's folder ``under``."""

    def write(self, run_id: str, name: str, text: str) -> None:
        """Keeps a text file of the run."""

    def download(self, run_id: str, name: str, into: Path) -> Path | None:
        """Copies a file or folder of the run to ``into / name``; None if the run has none of that name."""

    def status(self, run_id: str, status: RunStatus) -> None:
        """Ends the run, or with ``RUNNING`` opens it again."""

    def register(self, model: str, run_id: str, name: str, alias: str, tags: Mapping[str, str]) -> str:
        """Makes the run's folder ``name`` a version of a registered model, under an alias; once per run.

        Returns:
            The version.
        """


def find_run(store: RunStore, ref: str) -> RunRecord:
    """The run of an id, or of the beginning of one (six characters or more) that only one run has.

    Raises:
        UnknownNameError: no run begins so.
        UsageError: more than one does, or too little is given to tell.
    """
    ref = ref.strip().lower()
    if len(ref) < 6:
        raise UsageError(f"'{ref}' is too short for a run id", "give at least its first 6 characters")
    ids = store.starting_with(ref)
    if len(ids) > 1:
        raise UsageError(f"{len(ids)} runs begin with '{ref}': {', '.join(sorted(ids)[:3])}", "give more of the id")
    record = store.get(ids[0] if ids else ref)
    if record is None:
        raise UnknownNameError(
            f"there is no run '{ref}'",
            "tunewright report STUDY lists a study's runs; TUNEWRIGHT_HOME and MLFLOW_TRACKING_URI say where to look",
        )
    return record
