"""Who is trained again on fresh seeds at the end, and how often: the finalists, and the default as their yardstick.

The search's own scores chose them, so those scores say too much of them; a fresh seed does not. Seeds are never
searched: every trial of a search has the same one, and here all recipes get the same further ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tunewright.agents.judging import read_items
from tunewright.domain import ledger
from tunewright.domain.budget import Cost
from tunewright.domain.goal import by_goals
from tunewright.domain.outcome import Completed
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.tools.evaluation.replication import Contrast, Repeated, SeedSpread, contrast
from tunewright.tools.evaluation.resampling import Floats

MOST_FINALISTS = 3
ROUNDS = 3
"""Fresh seeds that each gets where time is left over; together they are at most as many trainings as the search had. So
many are run whatever they show, because to stop at a good result would make it look better than it is."""
_APART = 0.05


@dataclass(frozen=True)
class Repeat:
    """One training on a fresh seed."""

    job: str
    trial: str
    """Whose recipe it is."""
    seed: int
    planned: bool
    """Whether the plan kept its time back; else it is run if time is left over."""


class Scores:
    """The scored runs of a study as numbers an item, each read once."""

    def __init__(self, study: Study, folder: Path) -> None:
        from tunewright.tools.evaluation.registry import scorer

        assert study.task is not None
        self.metric = study.task.metric
        self.sign = self.metric.sign
        self._scorer = scorer(self.metric.name)
        self._folder = folder
        self._known: dict[str, Floats] = {}

    def of(self, job: str) -> Floats:
        """(N,) numbers whose mean is the job's metric.

        Raises:
            DataError: the job's items cannot be read.
        """
        from tunewright.tools.evaluation.pseudovalue import pseudo_values

        if job not in self._known:
            self._known[job] = pseudo_values(read_items(self._folder, job), self._scorer)
        return self._known[job]

    def once(self, job: str, against: str) -> Contrast:
        """Two single runs compared, corrected for nothing: what the search itself goes by."""
        mine, theirs = (Repeated(name, self.of(name)[None]) for name in (job, against))
        return contrast(mine, theirs, SeedSpread(0.0, 0.0, 0), sign=self.sign, exact=False)


def scored(study: Study) -> dict[str, Completed]:
    """Every search trial with a final score, in order."""
    return {
        job.id: job.outcome
        for job in study.trials
        if isinstance(job.outcome, Completed) and math.isfinite(job.outcome.score)
    }


def default_of(study: Study) -> str | None:
    """The trial of the default recipe, if it has a score."""
    return study.default if study.default in scored(study) else None


def finalists(study: Study, scores: Scores) -> list[str]:
    """Trials that may win: the best score and those that the items do not tell apart from it, at most three, in order.

    Without further goals only what scores above the default is of use; with them any trial may be the one that is as
    good and smaller.
    """
    done, default = scored(study), default_of(study)
    assert study.task is not None
    goals, metric = study.task.goals, scores.metric
    may = [id for id in done if id not in study.barred and _above(scores, id, "base")]
    ranked = sorted(may, key=lambda id: -scores.sign * done[id].score)
    rivals = [id for id in ranked if id != default]
    if default in may and not goals:
        rivals = [id for id in rivals if metric.better(done[id].score, done[default].score)]
    near = [id for id in rivals if id == ranked[0] or scores.once(id, ranked[0]).p >= _APART]
    if goals and near:
        near = [near[0], *by_goals(goals, {id: done[id] for id in near[1:]})]
    return near[:MOST_FINALISTS]


def repeats(study: Study, scores: Scores, chosen: list[str]) -> Iterator[Repeat]:
    """The trainings on fresh seeds in their order: a seed for each finalist and the default, then the next seed."""
    assert study.plan is not None
    default, order = default_of(study), list(chosen)
    if default is not None and default not in (*study.barred, *order) and _above(scores, default, "base"):
        order.append(default)
    planned = study.plan.confirm_seeds
    spare = math.isfinite(ledger.wall_left(study, keep=Cost()))  # with no cap on time there is no time left over
    most = max(planned, min(ROUNDS * len(order), len(study.trials))) if spare else planned
    for number in range(most if order else 0):
        trial = order[number % len(order)]
        yield Repeat(f"c{number + 1}", trial, 1 + number // len(order), planned=number < planned)


def repeated(study: Study, trial: str) -> list[JobRecord]:
    """The finished trainings of a trial's recipe on fresh seeds."""
    return [job for job in study.confirmations if job.proposal == trial and job.score is not None]


def _above(scores: Scores, job: str, against: str) -> bool:
    found = scores.once(job, against)
    return found.gain > 0 and found.p < _APART
