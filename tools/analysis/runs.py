"""Every run on one line, how well it was predicted, and who had the idea."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass

from tunewright.domain.budget import Cost
from tunewright.domain.outcome import Completed, Failed, JobResult, Measurement, Paused, Pruned
from tunewright.domain.proposal import Decision, Proposal, Range
from tunewright.domain.recipe import Recipe
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.tools.analysis.answer import measurement_of
from tunewright.tools.analysis.learning import explanation
from tunewright.tools.analysis.words import (
    clock_words,
    difference_words,
    differing,
    number_words,
    recipe_words,
    score_words,
    size_words,
)

_DONE = {"approve": "approved", "edit": "edited", "reject": "rejected"}
DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Run:
    """One job, or a proposal that never became one."""

    id: str
    kind: str
    """Class of the style sheet: ``winner``, ``completed``, ``pruned``, ``failed``, ``rejected``, ``running``."""
    status: str
    origin: str
    recipe: str
    differs: str
    score: str
    interval: str
    seconds: str
    memory: str
    parameters: str
    adapter: str
    verdict: str
    """Against whom it was judged, or why it ended early."""
    why: str
    """Why it was proposed, and what a reviewer said."""
    run_id: str
    came_from: str = ""
    """Where its gain or loss came from, by the evaluator."""


def runs(study: Study) -> list[Run]:
    """The base model first, then every proposal in order, then confirmations and the test."""
    ids = ["base", *study.proposals, *(id for id in study.jobs if id not in study.proposals and id != "base")]
    return [_run(study, id) for id in ids if id in study.jobs or id in study.proposals]


def forecasts(study: Study) -> list[tuple[str, str]]:
    """How well time and memory were predicted: the quantity, and in how many runs it was inside its range; four in five
    are meant to be. A run that was given its first stages says nothing of it.
    """
    done = [job for job in study.trials if isinstance(job.outcome, Completed) and not job.outcome.result.shared_steps]
    if not done:
        return []
    forecast = {job.id: study.recipe_of(job.id).forecast for job in done}
    took = {job.id: job.outcome.result.peak_memory_gib for job in done if isinstance(job.outcome, Completed)}
    return [
        ("time", _hits([(forecast[job.id].seconds, job.settled.wall_s) for job in done])),
        ("memory", _hits([(forecast[id].memory_gib, gib) for id, gib in took.items()])),
    ]


def _hits(pairs: list[tuple[Range, float]]) -> str:
    inside = sum(forecast.low <= value <= forecast.high for forecast, value in pairs)
    ratio = statistics.median(value / max(forecast.expected, 1e-9) for forecast, value in pairs)
    return (
        f"inside its 80 % interval in {inside} of {len(pairs)} completed runs; {ratio:.2f} times the expected, by the "
        "median"
    )


def reviews(study: Study) -> list[str]:
    """Approvals in one line a person or policy; what was edited or rejected each in its own, with the reason."""
    approved: dict[str, list[str]] = {}
    lines: list[str] = []
    for decision in study.decisions.values():
        if decision.action == "approve" and not decision.reason:
            approved.setdefault(decision.by, []).append(decision.target)
        else:
            lines.append(f"{decision.target}: {_DONE[decision.action]} by {decision.by}{_because(decision)}")
    return [f"approved by {by}: {', '.join(targets)}" for by, targets in approved.items()] + lines


def _because(decision: Decision) -> str:
    return f": {decision.reason}" if decision.reason else ""


def origins(study: Study) -> list[tuple[str, int, int, str]]:
    """Who proposed: origin, proposals, completed runs, best score."""
    rows: list[tuple[str, int, int, str]] = []
    for origin in dict.fromkeys(study.recipe_of(id).idea.origin for id in study.proposals):
        ids = [id for id in study.proposals if study.recipe_of(id).idea.origin == origin]
        scores = [job.score for id in ids if (job := study.jobs.get(id)) is not None and job.score is not None]
        less = study.task is not None and study.task.metric.direction == "min"
        best = f"{min(scores) if less else max(scores):.3f}" if scores else DASH
        rows.append((origin, len(ids), len(scores), best))
    return rows


def _run(study: Study, id: str) -> Run:
    job, proposal = study.jobs.get(id), study.recipe_of(id) if id in study.proposals else None
    result = getattr(job.outcome, "result", None) if job else None
    result = result if isinstance(result, JobResult) else JobResult(status="paused")
    cost = job.settled if job else Cost()
    return Run(
        id=id,
        kind=kind_of(study, id),
        status=status_of(study, id),
        origin=_origin(study, id, proposal),
        recipe=recipe_words(proposal.recipe) if proposal else _purpose(study, job),
        differs=_differs(proposal.recipe, default_recipe(study)) if proposal else DASH,
        score=score_of(study, id),
        interval=_interval(job),
        seconds=clock_words(cost.wall_s) if job else DASH,
        memory=f"{result.peak_memory_gib:.2f}" if result.peak_memory_gib else DASH,
        parameters=f"{result.trainable_parameters:,}" if result.trainable_parameters else DASH,
        adapter=size_words(result.adapter_bytes) if result.adapter_bytes else DASH,
        verdict=_verdict(study, id),
        why=_why(study, id, proposal),
        run_id=study.runs.get(id, ""),
        came_from=explanation(study, id),
    )


def kind_of(study: Study, id: str) -> str:
    """See ``Run.kind``."""
    if study.finished is not None and study.finished.winner == id:
        return "winner"
    job, decision = study.jobs.get(id), study.decisions.get(id)
    if job is None:
        return "rejected" if decision is not None and decision.action == "reject" else "running"
    return job.outcome.status if job.outcome else "running"


def status_of(study: Study, id: str) -> str:
    """How it stands, in one word."""
    kind = kind_of(study, id)
    if kind == "running" and id not in study.jobs:
        return "approved" if id in study.decisions else "not reviewed"
    return "waiting" if id in study.jobs and study.jobs[id].waiting else kind


def _origin(study: Study, id: str, proposal: Proposal | None) -> str:
    if proposal is None:
        return study.jobs[id].role
    original = study.proposals[id].idea.origin
    return proposal.idea.origin if proposal.idea.origin == original else f"{original}, edited"


def _purpose(study: Study, job: JobRecord | None) -> str:
    role = job.role if job else ""
    if role == "confirm":
        return f"{(job.proposal if job else None) or 'the winner'} on a fresh seed"
    if role == "preflight":
        return f"the first steps of {(job.proposal if job else None) or 'a trial'}, to see whether it fits into memory"
    if role == "test":
        return "the untouched model on the sealed test" if job and job.id != "test" else "the winner on the sealed test"
    return "the untouched model on validation"


def score_of(study: Study, id: str) -> str:
    """The final score, or the last of one that was stopped or waits; a dash for none."""
    job = study.jobs.get(id)
    final = measurement_of(job)
    if final is None:
        final = _before_its_end(job)
    return score_words(final.value if final else None)


def _interval(job: JobRecord | None) -> str:
    """The final measurement's, or for a trial that was stopped or waits where its score comes from."""
    final = measurement_of(job)
    if final is not None and final.low is not None and final.high is not None:
        return f"[{final.low:.3f}, {final.high:.3f}]"
    if job is not None and job.partial is not None:
        return f"estimated from {job.partial.measurement.rows} of {job.partial.of} rows"
    before = _before_its_end(job)
    return f"at step {before.step}" if before is not None else ""


def _before_its_end(job: JobRecord | None) -> Measurement | None:
    """The last measurement of a trial that was stopped or waits; what was scored in part is put on all rows."""
    if job is not None and job.partial is not None:
        return job.partial.measurement.model_copy(update={"value": job.partial.estimate})
    if job is not None and isinstance(job.outcome, Pruned):
        return job.outcome.last
    return job.last if job is not None and job.waiting else None


def _verdict(study: Study, id: str) -> str:
    job, decision = study.jobs.get(id), study.decisions.get(id)
    if job is None:
        return decision.reason if decision is not None and decision.action == "reject" else ""
    match job.outcome:
        case Failed(fault=fault):
            return (
                f"{fault.kind} fault"
                + (f" at step {fault.step}" if fault.step is not None else "")
                + f": {fault.message}"
            )
        case Paused(reason=reason) if job.waiting:
            return job.rest or reason
        case Pruned(reason=reason) | Paused(reason=reason):
            return reason
        case _:
            judged = [verdict.says() for verdict in study.verdicts if verdict.trial == id]
            return judged[-1] if judged else ""


def _why(study: Study, id: str, proposal: Proposal | None) -> str:
    if proposal is None:
        return ""
    decision = study.decisions.get(id)
    edited = decision is not None and decision.action == "edit"
    said = f" \N{EM DASH} edited by {decision.by}: {decision.reason}" if edited and decision and decision.reason else ""
    for promotion in study.jobs[id].promotions if id in study.jobs else ():
        said += f" \N{EM DASH} promoted: {promotion.reason}"
    return proposal.idea.reason + said


def _differs(recipe: Recipe, other: Recipe | None) -> str:
    words = difference_words(recipe, other) if other is not None else "-"
    return DASH if words == "-" else words


def changes_of(recipe: Recipe, other: Recipe | None, *, without: Collection[str] = ()) -> str:
    """What differs, with its value: ``adapter dora, lr 6e-4``. What no longer applies is left out.

    Args:
        other: None: a dash.
        without: settings that are said elsewhere.
    """
    if other is None:
        return DASH
    changed = {word: value for word, value in differing(recipe, other).items() if value is not None}
    said = [f"{word} {number_words(value)}" for word, value in changed.items() if word not in without]
    return ", ".join(said) or DASH


def default_recipe(study: Study) -> Recipe | None:
    """The plan's default, whatever a reviewer made of trial 0."""
    space = study.plan.space if study.plan else None
    return space.build(space.default()) if space else None
