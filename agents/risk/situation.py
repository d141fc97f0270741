"""What was known when a decision was taken, in a few lines: short enough for a small model to be trained on it.

Made from the journal up to the decision. It holds settings, scores and what is left of the budget, and no row of data.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunewright.agents.outcome_facts import searched_paths, setting
from tunewright.agents.risk.style import budget_left, drawdown, style_of
from tunewright.domain.frozen import Json, flatten
from tunewright.domain.recipe import Recipe
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study

LATEST, BEST = 4, 2
"""Trials that are told of: the newest, and of the others the best."""
PROPOSE = "Which recipe should be trained next? Answer as JSON: settings, and because."


def situation(study: Study) -> str:
    """The study so far, and the question that a proposal answers."""
    return "\n".join([*_facts(study), PROPOSE])


def steering_situation(study: Study, job: str) -> str:
    """The study so far, a trial's rungs, and the question whether it goes on."""
    record = study.jobs[job]
    rungs = ", ".join(f"{one.value:.4g} at step {one.step}" for one in record.measurements)
    asked = (
        f"{job} has {rungs or 'no rung yet'}. Should it continue, pause or stop? Answer as JSON: action, and because."
    )
    return "\n".join([*_facts(study), f"{job}: {said(settings_of(study, study.recipe_of(job).recipe))}", asked])


def settings_of(study: Study, recipe: Recipe) -> dict[str, Json]:
    """Searched path -> value, of those that a recipe has."""
    flat = flatten(recipe.model_dump(mode="json"))
    found = {path: setting(flat, path) for path in searched_paths(study)}
    return {path: value for path, value in found.items() if value is not None}


def said(settings: Mapping[str, Json]) -> str:
    """Such as ``adapter.kind=lora, optimisation.lr=0.0002``: a first stage is not named."""
    return ", ".join(f"{path.removeprefix('stages.0.')}={_value(value)}" for path, value in settings.items())


def _facts(study: Study) -> list[str]:
    metric = study.task.metric if study.task is not None else None
    lines = []
    if study.task is not None and metric is not None:
        better = "higher" if metric.direction == "max" else "lower"
        lines.append(f"Fine-tuning {study.task.model}; {metric.name}, {better} is better.")
    lines.append(
        f"Budget left: {100 * budget_left(study):.0f} %. Style: {style_of(study)}. Trials since the last gain: "
        f"{drawdown(study)}."
    )
    if study.base is not None and study.base.score is not None:
        lines.append(f"base model: {study.base.score:.4g}")
    lines += [_line(study, job) for job in _shown(study)]
    return lines


def _shown(study: Study) -> list[JobRecord]:
    """The newest trials and the best of the others, in order."""
    ended = [job for job in study.trials if job.ended or job.waiting]
    newest, others = ended[-LATEST:], [job for job in ended[:-LATEST] if job.estimate is not None]
    sign = study.task.metric.sign if study.task is not None else 1.0
    best = sorted(others, key=lambda job: -sign * (job.estimate or 0.0))[:BEST]
    return [job for job in ended if job in newest or job in best]


def _line(study: Study, job: JobRecord) -> str:
    status = job.outcome.status if job.outcome is not None else "running"
    score = f"{job.estimate:.4g}" if job.estimate is not None else status
    best = " (best so far)" if job.id == study.incumbent else ""
    return f"{job.id}{best}: {score}; {said(settings_of(study, study.recipe_of(job.id).recipe))}"


def _value(value: Json) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "/".join(_value(one) for one in value) if isinstance(value, list | tuple) else str(value)
