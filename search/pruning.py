"""Whether a trial goes on after a rung. The rules are Optuna's; what they look at is rebuilt from the study.

A trial is compared at the same step and on the same validation rows only.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tunewright.domain.errors import unknown_name
from tunewright.domain.goal import tradeoffs
from tunewright.domain.outcome import Measurement
from tunewright.domain.paired import Paired
from tunewright.domain.protocols import Promotion, Scheduler, Steering
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.search.curtailment import Curtailing

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner

REDUCTION = 3
"""Hyperband keeps one of so many at each rung, and rungs are this factor apart (Li et al. 2018, section 3)."""


def pruners() -> dict[str, str]:
    """Name -> one line about it."""
    return {name: (kind.__doc__ or "").strip().splitlines()[0] for name, kind in _KINDS.items()}


def open_scheduler(name: str) -> Scheduler:
    """The scheduler ``name``.

    Raises:
        UnknownNameError: there is no such scheduler.
    """
    if name not in _KINDS:
        raise unknown_name("pruner", name, _KINDS)
    return _KINDS[name]()


class NoScheduler:
    """Every trial runs to its end."""

    pauses = False

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """See ``Scheduler.decide``."""
        return Steering(action="continue", reason="pruning is off")

    def compare(self, study: Study, job: str, paired: Paired) -> Steering:
        """See ``Scheduler.compare``."""
        return Steering(action="continue", reason="pruning is off")

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``: nothing is ever paused."""
        return None


class OptunaScheduler(Curtailing, ABC):
    """Asks a pruner of Optuna, once there is enough to compare with; never stops the yardstick."""

    pauses = False

    def __init__(self) -> None:
        self._replay: _Replay | None = None

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """See ``Scheduler.decide``."""
        settled = foregone(study, job, measurement)
        if settled is not None:
            return settled
        if self._replay is None or not self._replay.fits(study, measurement.rows):
            self._replay = _Replay(study, measurement.rows, self.pruner(study))
        behind = self._replay.behind(study, job, measurement)
        peers = self.peers(study, job, measurement)
        needed = least_peers(study)
        if len(peers) < needed:
            few = f"{len(peers)} of the {needed} trials needed for a comparison have reached step {measurement.step}"
            return Steering(action="continue", reason=few)
        action: Literal["continue", "stop"] = "stop" if behind else "continue"
        return Steering(action=action, reason=self.words(study, measurement, peers, behind))

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``: these stop what is behind and pause nothing."""
        return None

    @abstractmethod
    def pruner(self, study: Study) -> BasePruner:
        """Optuna's pruner for this study."""

    @abstractmethod
    def peers(self, study: Study, job: str, measurement: Measurement) -> list[float]:
        """Scores of the trials it is compared with, at that step on the same rows."""

    @abstractmethod
    def words(self, study: Study, measurement: Measurement, peers: list[float], behind: bool) -> str:
        """Why, in one line."""


class MedianScheduler(OptunaScheduler):
    """Stops a trial whose best score so far is worse than the median of completed trials at that step."""

    def pruner(self, study: Study) -> BasePruner:
        from optuna.pruners import MedianPruner

        needed = least_peers(study)
        return MedianPruner(n_startup_trials=needed, n_min_trials=needed)

    def peers(self, study: Study, job: str, measurement: Measurement) -> list[float]:
        at_their_end = [other for other in study.trials if other.estimate is not None]
        return _at(at_their_end, job, measurement)

    def words(self, study: Study, measurement: Measurement, peers: list[float], behind: bool) -> str:
        median = statistics.median(peers)
        side = "below" if higher_is_better(study) else "above"
        where = f"{side} the median {median:.3g} of {len(peers)} trials at that step"
        if behind:
            return f"{measurement.value:.3g} at step {measurement.step} is {where}"
        better = study.task is not None and study.task.metric.better(median, measurement.value)
        # Optuna compares the best score so far: a dip after a good rung is forgiven.
        return f"{measurement.value:.3g} at step {measurement.step} is " + (
            f"{where}, but an earlier rung was not" if better else f"not {where}"
        )


class HyperbandScheduler(OptunaScheduler):
    """Stops what is not in the best third at its rung; brackets differ in how early they begin to stop."""

    def pruner(self, study: Study) -> BasePruner:
        from optuna.pruners import HyperbandPruner

        steps = study.plan.rungs.steps if study.plan is not None else ()
        first, last = (steps[0], steps[-1]) if steps else (1, 1)
        return HyperbandPruner(min_resource=first, max_resource=last * REDUCTION, reduction_factor=REDUCTION)

    def peers(self, study: Study, job: str, measurement: Measurement) -> list[float]:
        return _at(study.trials, job, measurement)

    def words(self, study: Study, measurement: Measurement, peers: list[float], behind: bool) -> str:
        best = max(peers) if higher_is_better(study) else min(peers)
        among = "not among" if behind else "not behind"
        return (
            f"{measurement.value:.3g} at step {measurement.step} is {among} the best third of its bracket; "
            f"the best of {len(peers)} other trials at that step has {best:.3g}"
        )


def _halving() -> Scheduler:
    """Pauses what is not in the best third at its rung, and goes on with it when it is (asynchronous halving)."""
    from tunewright.search.halving import HalvingScheduler

    return HalvingScheduler()


def _promising() -> Scheduler:
    """Pauses what a model of all trials does not expect to win, and goes on with it when it does."""
    from tunewright.search.promising import PromisingScheduler

    return PromisingScheduler()


_KINDS: dict[str, Callable[[], Scheduler]] = {
    "promising": _promising,
    "halving": _halving,
    "median": MedianScheduler,
    "hyperband": HyperbandScheduler,
    "none": NoScheduler,
}


def least_peers(study: Study) -> int:
    """Other trials that must have reached a rung before anything is stopped there: 3, in a small study 2."""
    return 2 if study.plan is not None and study.plan.trials[1] <= 8 else 3


def foregone(study: Study, job: str, measurement: Measurement) -> Steering | None:
    """The answer that no comparison is needed for; None if one is."""
    why = _spared(study, job)
    if why:
        return Steering(action="continue", reason=why)
    if not math.isfinite(measurement.value):
        return Steering(action="stop", reason=f"the score at step {measurement.step} is not a number")
    return None


def _spared(study: Study, job: str) -> str:
    """Why ``job`` is not looked at; empty if it is."""
    if study.jobs[job].role != "trial":
        return "only trials of the search are stopped early"
    if study.jobs[job].closing:
        return "nothing new can be begun, so what was let on goes to its end"
    proposal = study.proposals.get(job)
    if proposal is not None and proposal.idea.origin == "default":
        return "the yardstick always runs to its end"
    if study.task is not None and tradeoffs(study.task):
        return "what is behind in the score may be ahead in the other goals"
    return ""


def _at(jobs: list[JobRecord], job: str, measurement: Measurement) -> list[float]:
    return [
        m.value
        for other in jobs
        if other.id != job
        for m in other.measurements
        if m.step == measurement.step and m.rows == measurement.rows and math.isfinite(m.value)
    ]


def higher_is_better(study: Study) -> bool:
    """The metric's direction; higher before the task is known."""
    return study.task is None or study.task.metric.direction == "max"


@dataclass
class _Followed:
    record: JobRecord
    trial: optuna.trial.Trial
    reported: list[tuple[int, float]] = field(default_factory=list)
    told: bool = False
    behind: bool = False
    """Optuna's answer at the newest rung."""


class _Replay:
    """The study's trials reported to Optuna in memory, rung by rung as they were measured.

    Hyperband notes at each question who reached a rung, so the questions are put again in the order of the trials.
    Kept between decisions, and put again from the beginning if the study does not go on from there.
    """

    def __init__(self, study: Study, rows: int, pruner: BasePruner) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        direction = "maximize" if higher_is_better(study) else "minimize"
        self._name, self._rows = study.name, rows
        self._optuna = optuna.create_study(study_name=study.name, direction=direction, pruner=pruner)
        self._followed: dict[str, _Followed] = {}

    def fits(self, study: Study, rows: int) -> bool:
        """Whether the study only adds to what was reported."""
        return (
            (self._name, self._rows) == (study.name, rows)
            and self._followed.keys() <= study.jobs.keys()
            and all(self._goes_on(study.jobs[job], followed) for job, followed in self._followed.items())
        )

    def behind(self, study: Study, job: str, measurement: Measurement) -> bool:
        """Optuna's answer for ``job`` at ``measurement``, which need not be in the journal yet."""
        for record in study.trials:
            self._follow(record, [])
            if record.id == job:
                self._follow(record, [measurement])
        return self._followed[job].behind

    def _goes_on(self, record: JobRecord, followed: _Followed) -> bool:
        if followed.told and record is followed.record:
            return True  # the same object: it has ended, and nothing is added to it
        # What was reported last may not be in the journal yet; all before it is.
        now = self._comparable(record.measurements)
        settled = followed.reported[: len(now)]
        return now[: len(settled)] == settled and len(followed.reported) <= len(now) + 1

    def _follow(self, record: JobRecord, more: list[Measurement]) -> None:
        from optuna.trial import TrialState

        followed = self._followed.get(record.id)
        if followed is None:
            followed = self._followed[record.id] = _Followed(record, self._optuna.ask())
        if followed.told:
            return
        for step, value in self._comparable([*record.measurements, *more]):
            if (step, value) not in followed.reported:
                followed.trial.report(value, step)
                followed.reported.append((step, value))
                followed.behind = followed.trial.should_prune()
        if record.ended and not more:
            if record.estimate is not None and math.isfinite(record.estimate):
                self._optuna.tell(followed.trial, record.estimate)
            else:
                self._optuna.tell(followed.trial, state=TrialState.PRUNED)
            followed.told = True

    def _comparable(self, measurements: list[Measurement]) -> list[tuple[int, float]]:
        return [(m.step, m.value) for m in measurements if m.rows == self._rows and math.isfinite(m.value)]
