"""The facts of ended trials that a lesson may cite and a prompt may show: score, status, fault, searched settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from tunewright.domain.frozen import Json, flatten
from tunewright.domain.study import JobRecord, Study

SHOWN = 20
"""Trials shown to a language model: the best and the latest."""


@dataclass(frozen=True)
class TrialFacts:
    """One ended trial."""

    id: str
    status: str
    score: float | None
    fault: str | None
    settings: dict[str, Json] = field(default_factory=dict)
    """Recipe path -> value, for every path of the recipe."""
    searched: dict[str, Json] = field(default_factory=dict)
    """Those of them that the study searches."""

    def get(self, quantity: str) -> Json:
        """The value that evidence about this trial has to have; None if there is none."""
        named: dict[str, Json] = {"score": self.score, "status": self.status, "fault": self.fault}
        return named[quantity] if quantity in named else self.settings.get(quantity)

    def line(self) -> str:
        """For a prompt, such as ``t4: score=0.842, status=completed, stages.0.adapter.kind=dora``."""
        facts: dict[str, Json] = {"score": self.score, "status": self.status, "fault": self.fault} | self.searched
        return f"{self.id}: " + ", ".join(
            f"{name}={_value(value)}" for name, value in facts.items() if value is not None
        )


def trial_facts(study: Study, job: JobRecord) -> TrialFacts:
    """The facts of one ended job; one without a recipe (the base model) has no settings."""
    fault = getattr(job.outcome, "fault", None)
    settings: dict[str, Json] = {}
    searched: dict[str, Json] = {}
    if job.id in study.proposals:
        recipe = study.recipe_of(job.id).recipe
        settings = flatten(recipe.model_dump(mode="json"))
        if study.plan is not None:
            paths = dict.fromkeys(dimension.path for dimension in study.plan.space.dimensions)
            searched = {path: settings[path] for path in paths if settings.get(path) is not None}
    status = job.outcome.status if job.outcome is not None else "running"
    return TrialFacts(job.id, status, job.score, fault.kind if fault else None, settings, searched)


def ended_trials(study: Study) -> list[TrialFacts]:
    """Every trial that has come to its end, in order."""
    return [trial_facts(study, job) for job in study.trials if job.ended]


def shown(study: Study, trials: list[TrialFacts], most: int = SHOWN) -> list[TrialFacts]:
    """The best and the latest, at most ``most``, best first; what has no score comes last."""
    assert study.task is not None
    sign = -1.0 if study.task.metric.direction == "max" else 1.0
    ranked = sorted(trials, key=lambda one: (one.score is None, sign * (one.score or 0.0)))
    kept = {one.id for one in (*ranked[: most - most // 2], *trials[-(most // 2) :])}
    return [one for one in ranked if one.id in kept]


def noise(study: Study) -> float | None:
    """What two scores have to differ by to be told apart: the median half width of the verdicts' intervals, or the
    spread of one recipe over seeds if that is larger. None before the first verdict."""
    widths = [(verdict.high - verdict.low) / 2 for verdict in study.verdicts]
    if not widths:
        return None
    seeds = [job.score for job in study.confirmations if job.score is not None]
    return max(median(widths), max(seeds) - min(seeds) if seeds else 0.0)


def _value(value: Json) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "/".join(_value(one) for one in value) if isinstance(value, list | tuple) else str(value)
