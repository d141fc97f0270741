"""What a run needs to be trained again or handed out, fetched from the store alone."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from tunewright.domain.errors import TrackingError, UsageError
from tunewright.domain.frozen import Frozen
from tunewright.domain.job import TrialSpec, job_spec
from tunewright.domain.outcome import Item, JobResult
from tunewright.tracking.entry import PREFIX, STUDY
from tunewright.tracking.store import RunRecord, RunStore, find_run

Curve = dict[int, float]
"""Optimiser step -> loss."""


class Bundle(Frozen):
    """A trial as its run recorded it, with its data beside it."""

    run_id: str
    spec: TrialSpec
    train: Path
    val: Path
    curve: Curve
    items: tuple[Item, ...]
    result: JobResult
    environment: tuple[str, ...]
    """Every installed distribution then, as ``name==version``."""
    test_digest: str | None
    """Of the sealed test, as the study's own run has it; the split itself is never fetched."""

    @property
    def score(self) -> float:
        """The recorded score on all rows of validation."""
        assert self.result.measurement is not None
        return self.result.measurement.value


def fetch(run_id: str, folder: Path, store: RunStore) -> Bundle:
    """Fetches a completed trial.

    Args:
        run_id: of a trial or a confirmation; its first six characters are enough if no other run has them.
        folder: where the files go.

    Raises:
        UsageError: no such run, or one that trained nothing or did not end well; says which to give.
        TrackingError: the store does not answer, or lacks a file.
    """
    run = trial_run(run_id, store)
    spec = read_spec(run, folder, store)
    parent = run.parent or ""
    result = JobResult.model_validate_json(_file(store, run.id, "result.json", folder).read_bytes())
    study = store.get(parent)
    return Bundle(
        run_id=run.id,
        spec=spec,
        train=_file(store, parent, "data/train.jsonl", folder),
        val=_file(store, parent, "data/val.jsonl", folder),
        curve=read_curve(_file(store, run.id, "curve.jsonl", folder)),
        items=tuple(
            map(Item.model_validate_json, _file(store, run.id, "items.jsonl", folder).read_bytes().splitlines())
        ),
        result=result,
        environment=tuple(_file(store, run.id, "environment.txt", folder).read_text(encoding="utf-8").split()),
        test_digest=study.tags.get(f"{PREFIX}data.test.digest") if study else None,
    )


def trial_run(run_id: str, store: RunStore) -> RunRecord:
    """The run of a completed training.

    Raises:
        UsageError: it is of something else; the hint says which run to give.
    """
    run = find_run(store, run_id)
    job, role, status = (run.tags.get(PREFIX + name) for name in ("job", "role", "status"))
    if job is None:
        raise UsageError(f"run '{run_id}' was not made by tunewright", "give the run of one of a study's trials")
    if job == STUDY:
        winner, best = run.tags.get(f"{PREFIX}winner.run"), run.tags.get(f"{PREFIX}study")
        hint = f"its winner is {winner}" if winner else f"tunewright status {best} lists the runs of its trials"
        raise UsageError(f"run '{run_id}' is the study {best} itself, not one of its trials", hint)
    if role not in ("trial", "confirm"):
        what = "measures the base model" if role == "base" else "measures the winner on the sealed test"
        raise UsageError(f"run '{run_id}' ({job}) {what}; it trained nothing", "give the run of a trial, such as t0's")
    if status != "completed":
        why = run.tags.get(f"{PREFIX}stopped") or run.tags.get(f"{PREFIX}fault.message") or ""
        said = f"{status}: {why}" if why else status or "still running"
        raise UsageError(
            f"run '{run_id}' ({job}) was not trained to its end ({said})", "give the run of a completed trial"
        )
    return run


def read_spec(run: RunRecord, folder: Path, store: RunStore) -> TrialSpec:
    """The specification kept with a run.

    Raises:
        TrackingError: it is not there or cannot be read.
    """
    path = _file(store, run.id, "spec.json", folder)
    try:
        spec = job_spec.validate_json(path.read_bytes())
    except ValidationError as error:
        raise TrackingError(
            f"spec.json of run {run.id} cannot be read: {error.errors()[0]['msg']}",
            "use the version of tunewright that made the run",
        ) from error
    if not isinstance(spec, TrialSpec):
        raise TrackingError(f"spec.json of run {run.id} is no training's", "give the run of a trial")
    return spec


def read_curve(path: Path) -> Curve:
    """Step and loss of each line of a ``curve.jsonl``; of a step written twice, the last.

    Raises:
        TrackingError: a line cannot be read.
    """
    curve: Curve = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            point = _CurvePoint.model_validate_json(line)
        except ValidationError as error:
            raise TrackingError(f"{path} line {number} has no step and loss", "the run's record is damaged") from error
        curve[point.step] = point.loss
    return curve


class _CurvePoint(Frozen, extra="ignore"):
    step: int
    loss: float


def _file(store: RunStore, run_id: str, name: str, folder: Path) -> Path:
    path = store.download(run_id, name, folder) if run_id else None
    if path is None:
        raise TrackingError(
            f"run {run_id or '(none)'} has no '{name}'",
            "the record is incomplete: tunewright resume STUDY writes what is missing from the study's own folder",
        )
    return path
