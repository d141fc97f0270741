"""The one object that ``run``, ``resume``, ``review`` and ``status`` give: where a study stands."""

from __future__ import annotations

import time
from typing import Literal

from tunewright.domain.budget import Budget, Cost
from tunewright.domain.frozen import Frozen
from tunewright.domain.goal import front, measured, standings
from tunewright.domain.outcome import Completed, Measurement, Noise, Verdict
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.domain.understanding import Question

State = Literal["waiting", "running", "paused", "winner", "no-winner"]
"""``waiting`` for review; ``running`` in some process now; ``paused``: resume it; the other two are ends."""


class TrialSummary(Frozen):
    """One trial on one line."""

    id: str
    status: str
    """``completed``, ``pruned``, ``waiting`` at a rung, ``paused``, ``failed`` or ``running``."""
    score: float | None
    run_id: str | None
    seconds: float
    reason: str = ""
    """Why it was stopped, waits or failed."""


class FrontPoint(Frozen):
    """A trial that no other beats in the metric and in every goal at once."""

    trial: str
    score: float
    measured: dict[str, float]
    """Quantity of each goal -> what the trial has of it."""


class Summary(Frozen):
    """Where a study stands. Currencies have the same names in ``spent`` and ``budget``."""

    study: str
    state: State
    metric: str | None
    base_score: float | None
    best_score: float | None
    """Validation score of the winner, or while there is none of the best trial."""
    best_run_id: str | None
    """MLflow run of ``best_score``: what ``reproduce`` and ``export`` take."""
    best_trial: str | None
    winner: str | None
    test_score: float | None
    test_interval: tuple[float, float] | None
    base_test_score: float | None = None
    trials: int
    trial_list: tuple[TrialSummary, ...]
    verdicts: tuple[Verdict, ...]
    """The search's own, each corrected for nothing."""
    claims: tuple[Verdict, ...] = ()
    """What may be said at the end: of the winner, against the base model and the default, corrected for all that was
    compared."""
    noise: Noise | None = None
    front: tuple[FrontPoint, ...] = ()
    """Where the brief has goals besides the metric: the best score first."""
    spent: Cost
    budget: Budget | None
    waiting_for: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    """What is asked about the brief and waits for an answer."""
    reason: str = ""
    """Why it ended, or why it stands still."""
    next: str = ""
    """The command that goes on."""


def summarise(study: Study, *, running: bool = False, now: float | None = None) -> Summary:
    """``running``: whether a process holds the study's journal now."""
    now = time.time() if now is None else now
    if not running:  # after a crash the journal's clock has no end; nobody has been at work since its last event
        now = min(now, study.seen_at)
    winner = study.finished.winner if study.finished else None
    best = study.jobs.get(winner) if winner else study.best()
    test, base_test = _measured(study.jobs.get("test")), _measured(study.jobs.get("test-base"))
    state = _state(study, running)
    return Summary(
        study=study.name,
        state=state,
        metric=study.task.metric.name if study.task else None,
        base_score=study.base.score if study.base else None,
        best_score=best.score if best else None,
        best_run_id=study.runs.get(best.id) if best else None,
        best_trial=best.id if best else None,
        winner=winner,
        test_score=test.value if test else None,
        test_interval=(test.low, test.high) if test and test.low is not None and test.high is not None else None,
        base_test_score=base_test.value if base_test else None,
        trials=len(study.trials),
        trial_list=tuple(_line(study, job, now) for job in study.trials),
        verdicts=tuple(study.verdicts),
        claims=study.finished.verdicts if study.finished else (),
        noise=study.finished.noise if study.finished else None,
        front=_front(study),
        spent=study.spent(now),
        budget=study.budget,
        waiting_for=study.asked if state == "waiting" else (),
        questions=tuple(one for one in study.doubts.open if state == "waiting" and one.id in study.asked),
        reason=_reason(study, state),
        next=_next(study, state),
    )


def _front(study: Study) -> tuple[FrontPoint, ...]:
    if study.task is None or not study.task.goals:
        return ()
    done = {job.id: job.outcome for job in study.trials if isinstance(job.outcome, Completed)}
    points = standings(study.task, {id: one for id, one in done.items() if id not in study.barred})
    best = sorted(front(points), key=lambda id: -points[id][0])
    quantities = [goal.quantity for goal in study.task.goals]
    return tuple(
        FrontPoint(trial=id, score=done[id].score, measured={q: measured(done[id], q) or 0.0 for q in quantities})
        for id in best
    )


def _measured(job: JobRecord | None) -> Measurement | None:
    outcome = job.outcome if job else None
    result = getattr(outcome, "result", None)
    return result.measurement if result else None


def _state(study: Study, running: bool) -> State:
    if study.finished:
        return "winner" if study.finished.winner else "no-winner"
    if study.asked and not (running and any(job.open for job in study.jobs.values())):
        return "waiting"
    return "running" if running else "paused"


def _reason(study: Study, state: State) -> str:
    if study.finished:
        return study.finished.reason
    if state != "paused":
        return ""
    return study.closed if study.pid is None else "its process ended without closing it"


def _next(study: Study, state: State) -> str:
    match state:
        case "winner":
            return f"tunewright reproduce {study.runs.get(study.finished.winner or '', '')}" if study.finished else ""
        case "no-winner":
            return f"tunewright report {study.name}"
        case "waiting":
            what = "plan" if study.asked == ("plan",) else "all"
            return f"tunewright review {study.name} --approve {what}"
        case "running":
            return f"tunewright status {study.name}"
        case "paused":
            return f"tunewright resume {study.name}"


def _line(study: Study, job: JobRecord, now: float) -> TrialSummary:
    outcome = job.outcome
    fault = getattr(outcome, "fault", None)
    reason = f"{fault.kind}: {fault.message}" if fault else getattr(outcome, "reason", "")
    reason = job.rest or reason
    return TrialSummary(
        id=job.id,
        status="waiting" if job.waiting else outcome.status if outcome else "running",
        score=job.score,
        run_id=study.runs.get(job.id),
        seconds=job.settled.wall_s + (now - job.launched_at if job.open else 0.0),
        reason=reason,
    )
