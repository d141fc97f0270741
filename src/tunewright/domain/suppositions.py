"""How a plan's hypotheses stand against the trials that have ended. Worked out from the study, and stored nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from tunewright.domain import path as paths
from tunewright.domain.frozen import Json
from tunewright.domain.goal import measured
from tunewright.domain.outcome import Completed
from tunewright.domain.proposal import Refutation, Supposition
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study

LEAST = 2
"""Trials that have to speak against a hypothesis, with none for it, before it is refuted: one may be noise."""


@dataclass(frozen=True)
class Standing:
    """One hypothesis as it stands."""

    supposition: Supposition
    supporting: tuple[str, ...] = ()
    """Trials with its settings that do not refute it."""
    against: tuple[str, ...] = ()
    """Those that do."""

    @property
    def refuted(self) -> bool | None:
        """None where too few trials have put it to the test."""
        if self.supporting:
            return False
        return True if len(self.against) >= LEAST else None

    def says(self) -> str:
        """Such as ``refuted by t3, t5``."""
        match self.refuted:
            case True:
                return f"refuted by {', '.join(self.against)}"
            case False:
                against = f", against it {', '.join(self.against)}" if self.against else ""
                return f"stands: {', '.join(self.supporting)}{against}"
            case _:
                one = f"; {self.against[0]} speaks against it" if self.against else ""
                return ("not put to the test" if self.supposition.test else "not such that a program can tell") + one


def standings(study: Study) -> list[Standing]:
    """Of every hypothesis of the plan, in its order."""
    return [_standing(study, one) for one in (study.plan.hypotheses if study.plan is not None else ())]


def _standing(study: Study, one: Supposition) -> Standing:
    if one.test is None:
        return Standing(one)
    supporting: list[str] = []
    against: list[str] = []
    for job in study.trials:
        if job.id == study.default or not _has(study, job.id, one.settings):
            continue
        value = _value(study, job, one.test)
        if value is not None:
            (against if one.test.met(value) else supporting).append(job.id)
    return Standing(one, tuple(supporting), tuple(against))


def _has(study: Study, trial: str, settings: dict[str, Json]) -> bool:
    document = study.recipe_of(trial).recipe.model_dump(mode="json")
    try:
        return all(paths.get(document, path) == value for path, value in settings.items())
    except KeyError:
        return False


def _value(study: Study, job: JobRecord, test: Refutation) -> float | None:
    """What the test looks at; None where something of it was not measured."""
    mine = _measured(job, test.quantity)
    if test.trial is None or mine is None or study.task is None:
        return mine if test.quantity != "gain" else None
    other = study.jobs.get(test.trial)
    theirs = _measured(other, test.quantity) if other is not None else None
    if theirs is None:
        return None
    return study.task.metric.gain(mine, theirs) if test.quantity == "gain" else mine - theirs


def _measured(job: JobRecord, quantity: str) -> float | None:
    if not isinstance(job.outcome, Completed):
        return None
    return job.score if quantity in ("gain", "score") else measured(job.outcome, quantity)
