"""The charts of the report, drawn from a study's curves."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from tunewright.domain.study import Study
from tunewright.tools.analysis.curves import Progress, losses, progress, rungs
from tunewright.tools.analysis.svg import NARROW, Axis, Line, Mark, Rule, chart, spread
from tunewright.tools.analysis.words import clock_words

MOST_NAMED = 16
"""Trials up to which each is named in the chart; of more, those that improved the best."""
MOST_CURVES = 40
"""Trainings drawn in one chart: the newest so many, and always the best and the default."""


def best_so_far(study: Study) -> Markup:
    """Each trial's score and the best so far, against the clock; against trials where time is not capped."""
    steps = progress(study)
    if not steps:
        return Markup("")
    wall = study.budget.wall_s if study.budget else None
    by_clock = wall is not None or not (study.budget and study.budget.trials)
    cap = wall if by_clock else float(study.budget.trials or 0) if study.budget else None
    metric = study.task.metric.name if study.task else "score"

    def x_of(step: Progress) -> float:
        return step.clock_s if by_clock else float(step.number)

    best = [(x_of(step), step.best) for step in steps if step.best is not None]
    base = study.base.score if study.base else None
    if base is not None and best:
        best.insert(0, (0.0, base))
    named = {step.job for step in steps if len(steps) <= MOST_NAMED or step.score == step.best}
    marks = [_mark(study, step, x_of(step), step.job in named) for step in steps if step.score is not None]
    values = [y for _, y in best] + [mark.at[1] for mark in marks]
    low, high = spread(values)
    end = max([x_of(step) for step in steps] + ([cap] if cap else []))
    if best and steps:
        best.append((max(x_of(step) for step in steps), best[-1][1]))
    keep = study.plan.keep.wall_s if study.plan and by_clock else 0.0
    rules = [Rule(base, "base", f"base model {base:.3f}")] if base is not None else []
    title = "minutes at work" if by_clock else "trials"
    x = Axis(title, 0.0, end, _minutes, 60.0) if by_clock else Axis(title, 0.0, end)
    return chart(
        f"Best {metric} so far against the budget",
        f"{len(steps)} trials; the best is {best[-1][1]:.3f}" if best else f"{len(steps)} trials, none completed",
        x,
        Axis(f"{metric} on validation", low, high),
        lines=[Line(best, "best", "best so far", steps=True)],
        marks=marks,
        rules=[*rules, *([Rule(cap, "cap", "budget", vertical=True)] if cap else [])],
        shade=(cap - keep, cap) if cap and keep and by_clock else None,
    )


def loss_chart(study: Study, folder: Path) -> Markup:
    """Training losses, the best trial's in front; empty if no curve is on disk."""
    curves = {job: points for job in _shown(study) if (points := losses(folder, job))}
    if not curves:
        return Markup("")
    low, high = spread([y for points in curves.values() for _, y in points])
    end = max(points[-1][0] for points in curves.values())
    lines = [Line(points, _kind(study, job), job) for job, points in curves.items()]
    names = ", ".join(curves)
    x, y = Axis("optimiser step", 0.0, end), Axis("training loss", max(0.0, low), high)
    return chart("Training loss", f"of {names}", x, y, lines=_in_front(lines), width=NARROW)


def rung_chart(study: Study) -> Markup:
    """Validation scores at the rungs and at the end; empty if none was measured twice."""
    curves = {job: rungs(study.jobs[job]) for job in _shown(study)}
    curves = {job: points for job, points in curves.items() if points}
    if not any(len(points) > 1 for points in curves.values()):
        return Markup("")
    metric = study.task.metric.name if study.task else "score"
    low, high = spread([y for points in curves.values() for _, y in points])
    end = max(points[-1][0] for points in curves.values())
    lines = [Line(points, _kind(study, job), job) for job, points in curves.items()]
    stopped = [job for job in curves if (outcome := study.jobs[job].outcome) is not None and outcome.status == "pruned"]
    marks = [Mark(curves[job][-1], "pruned", f"{job} stopped at {curves[job][-1][1]:.3f}", job) for job in stopped]
    y = Axis(f"{metric} on validation", low, high)
    says = "the score at each rung and at the end; rungs may look at fewer rows than the end"
    return chart(
        "Scores while training",
        says,
        Axis("optimiser step", 0.0, end),
        y,
        lines=_in_front(lines),
        marks=marks,
        width=NARROW,
    )


def _mark(study: Study, step: Progress, x: float, named: bool) -> Mark:
    winner = study.finished is not None and study.finished.winner == step.job
    says = f"{step.job}: {step.score:.3f}, {step.status}, {clock_words(step.clock_s)} into the study"
    assert step.score is not None
    return Mark((x, step.score), "winner" if winner else step.status, says, step.job if named or winner else "")


def _shown(study: Study) -> list[str]:
    """The newest trials, with the default and the best."""
    best = study.best()
    trials = [job.id for job in study.trials]
    always = [job for job in (trials[0] if trials else None, best.id if best else None) if job is not None]
    return list(dict.fromkeys([*always, *trials[-MOST_CURVES:]]))


def _kind(study: Study, job: str) -> str:
    winner = study.finished.winner if study.finished else None
    best = study.best()
    if job == (winner or (best.id if best else None)):
        return "winner"
    proposal = study.proposals.get(job)
    return "default" if proposal is not None and proposal.idea.origin == "default" else "other"


def _in_front(lines: list[Line]) -> list[Line]:
    """What matters is drawn last."""
    return sorted(lines, key=lambda line: ("other", "default", "winner").index(line.kind))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g}"
