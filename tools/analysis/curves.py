"""How a study went over its budget, and each training over its steps: numbers, before they are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.tools.training.curve import read_curve

Point = tuple[float, float]
MOST_POINTS = 160
"""Points drawn of a loss curve; more are averaged into so many."""


@dataclass(frozen=True)
class Progress:
    """One trial as a step of the search."""

    job: str
    clock_s: float
    """Seconds the study had been at work when it ended."""
    number: int
    """From 1, in the order of launch."""
    status: str
    score: float | None
    """Final score; for a pruned trial the last rung's."""
    best: float | None
    """Best completed score up to here, the base model's included."""


def progress(study: Study) -> list[Progress]:
    """Every trial that has ended, in order, with the best score so far."""
    best = study.base.score if study.base else None
    steps: list[Progress] = []
    for number, job in enumerate(study.trials, start=1):
        if job.outcome is None:
            continue
        score = _reached(job)
        if job.score is not None and math.isfinite(job.score):
            better = best is None or (study.task is not None and study.task.metric.better(job.score, best))
            best = job.score if better else best
        ended = job.launched_clock + (job.outcome.cost.wall_s if job.outcome else 0.0)
        steps.append(Progress(job.id, ended, number, job.outcome.status, score, best))
    return steps


def rungs(job: JobRecord) -> list[Point]:
    """Step and score at each rung, and at the end."""
    points = {m.step: m.value for m in job.measurements if math.isfinite(m.value)}
    final = getattr(getattr(job.outcome, "result", None), "measurement", None)
    if final is not None and math.isfinite(final.value):
        points[final.step] = final.value
    return sorted((float(step), value) for step, value in points.items())


def losses(folder: Path, job: str) -> list[Point]:
    """Step and training loss from ``trials/<job>/out/curve.jsonl``, thinned; empty if it is not on disk."""
    points = read_curve(folder / "trials" / job / "out" / "curve.jsonl")
    return thinned([(float(step), loss) for step, loss in points if math.isfinite(loss)])


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most ``most`` points, each the mean of as many neighbours as the others."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return list(points)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _reached(job: JobRecord) -> float | None:
    if job.score is not None:
        return job.score if math.isfinite(job.score) else None
    points = rungs(job)
    return points[-1][1] if points else None
