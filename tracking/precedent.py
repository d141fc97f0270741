"""Earlier studies in the same store, for a later one to begin from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tunewright.domain.precedent import FoundRecipe, Kin, Precedent, TaskFeatures, likeness
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.tracking.entry import STUDY, job_tag
from tunewright.tracking.store import RunStore

FILE = "precedent.json"
"""In a study's run."""
_RECIPES = 32
"""Trials kept of a study: the better half by rank, the rest evenly over the others, so that bad ones are known too."""
_LOOKED_AT = 50
"""Newest studies that are read."""
_MOST, _LEAST_LIKE = 3, 0.3
"""Studies that are begun from, and how alike they have to be."""


def features_of(study: Study) -> TaskFeatures | None:
    """What makes others alike; None before data and model are known."""
    task, data, model = study.task, study.data, study.model
    if task is None or data is None or model is None or not data.train.rows:
        return None
    return TaskFeatures(
        format=task.format,
        metric=task.metric.name,
        labels=len(task.labels),
        rows=data.train.rows,
        model=model.digest,
        parameters=model.parameters,
        base=study.base.score if study.base is not None else None,
    )


def precedent_of(study: Study, run: str) -> Precedent | None:
    """What a finished study has to say to later ones; None if it has no default to compare with."""
    features, default = features_of(study), study.jobs.get(study.default or "")
    if features is None or default is None or default.score is None or study.task is None:
        return None
    gain = study.task.metric.gain
    ranked = sorted(
        (job for job in study.trials if job.estimate is not None), key=lambda job: -gain(job.estimate or 0.0, 0.0)
    )
    found = tuple(
        FoundRecipe(recipe=study.recipe_of(job.id).recipe, gain=gain(job.estimate, default.score))
        for job in _chosen(ranked)
        if job.estimate is not None
    )
    return Precedent(study=study.name, run=run, features=features, found=found)


def kin_of(store: RunStore, study: Study) -> tuple[Kin, ...]:
    """The earlier studies that are most like this one, the most alike first.

    Raises:
        TrackingError: the store does not answer.
    """
    own = features_of(study)
    if own is None:
        return ()
    found: list[Kin] = []
    for run in store.find_all(job_tag(STUDY), _LOOKED_AT):
        precedent = _read(store, run)
        if precedent is None or not precedent.found:
            continue
        like = likeness(own, precedent.features)
        if like >= _LEAST_LIKE:
            found.append(Kin(precedent=precedent, likeness=round(like, 3)))
    found.sort(key=lambda one: -one.likeness)  # stable: of equals the newest first
    return tuple(found[:_MOST])


def _chosen(ranked: Sequence[JobRecord]) -> Sequence[JobRecord]:
    if len(ranked) <= _RECIPES:
        return ranked
    best, others = ranked[: _RECIPES // 2], ranked[_RECIPES // 2 :]
    count = _RECIPES - len(best)
    return [*best, *(others[round(i * (len(others) - 1) / (count - 1))] for i in range(count))]


def _read(store: RunStore, run: str) -> Precedent | None:
    """None where the run has no such file, or one of another version."""
    with tempfile.TemporaryDirectory(prefix="tunewright-precedent-") as scratch:
        path = store.download(run, FILE, Path(scratch))
        if path is None:
            return None
        try:
            return Precedent.model_validate_json(path.read_bytes()).model_copy(update={"run": run})
        except (OSError, ValidationError):
            return None
