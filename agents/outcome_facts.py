"""The facts of ended trials that a lesson may cite and a prompt may show: score, status, fault, searched settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tunewright.domain.frozen import Json
from tunewright.domain.outcome import Failed
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study

_NAMED = ("score", "status", "fault")


@dataclass(frozen=True)
class TrialFacts:
    """One ended trial."""

    id: str
    status: str
    score: float | None
    """At its end; estimated if that was scored in part."""
    fault: str | None
    settings: Mapping[str, Json] = field(default_factory=dict)
    """Recipe path -> value, for every path of the recipe."""
    searched: Sequence[str] = ()
    """Those of the paths that the study searches."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """``seconds`` that it took, and ``rung.STEP``: the scores on its way."""

    def get(self, quantity: str) -> Json:
        """The value that evidence about this trial has to have; None if there is none."""
        if quantity in _NAMED:
            return getattr(self, quantity)
        return self.measured.get(quantity, self.settings.get(quantity))

    def line(self) -> str:
        """For a prompt, such as ``t4: score=0.842, status=completed, stages.0.adapter.kind=dora``."""
        facts = {name: self.get(name) for name in (*_NAMED, *self.searched)}
        return f"{self.id}: " + ", ".join(
            f"{name}={_value(value)}" for name, value in facts.items() if value is not None
        )


def trial_facts(study: Study, job: JobRecord) -> TrialFacts:
    """The facts of one ended job; one without a recipe (the base model) has no settings."""
    return _facts(study, job, searched_paths(study))


def ended_trials(study: Study) -> list[TrialFacts]:
    """Every trial that has come to its end, in order."""
    searched = searched_paths(study)
    return [_facts(study, job, searched) for job in study.trials if job.ended]


def _facts(study: Study, job: JobRecord, searched: Sequence[str]) -> TrialFacts:
    fault = job.outcome.fault if isinstance(job.outcome, Failed) else None
    settings = study.settings_of(job.id) if job.id in study.proposals else {}
    # A plan of several stages is searched by paths that mean several places, such as stages.@grpo.optimisation.lr.
    several = {
        path: value for path in searched if path not in settings and (value := setting(settings, path)) is not None
    }
    settings = {**settings, **several} if several else settings
    status = job.outcome.status if job.outcome is not None else "running"
    measured = {"seconds": job.settled.wall_s} | {f"rung.{one.step}": one.value for one in job.measurements}
    return TrialFacts(job.id, status, job.estimate, fault.kind if fault else None, settings, searched, measured)


def searched_paths(study: Study) -> tuple[str, ...]:
    """The recipe paths that the study searches, in the space's order."""
    dimensions = study.plan.space.dimensions if study.plan is not None else ()
    return tuple(dict.fromkeys(dimension.path for dimension in dimensions))


def setting(settings: Mapping[str, Json], path: str) -> Json:
    """The value at a path that may mean several stages (``domain.path``); the first one's, None if there is none."""
    keys = path.split(".")
    if path in settings or len(keys) < 3 or keys[0] != "stages" or keys[1].isdigit():
        return settings.get(path)
    kinds, rest, stage = keys[1][1:].split("|"), ".".join(keys[2:]), 0
    while (kind := settings.get(f"stages.{stage}.objective.kind")) is not None:
        if keys[1] == "*" or kind in kinds:
            return settings.get(f"stages.{stage}.{rest}")
        stage += 1
    return None


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
