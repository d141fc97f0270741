"""The next experiment: a recipe inside the space that was not run, with the result that would refute its hypothesis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from tunewright.agents.outcome_facts import noise
from tunewright.agents.proposing import problems, project, proposed
from tunewright.agents.reflection.rules import KIND
from tunewright.domain.frozen import Json, flatten
from tunewright.domain.lesson import Remembered
from tunewright.domain.proposal import Hypothesis, Idea, Refutation
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study

_SURE = 0.2
"""Confidence of a lesson from where on a rule heeds its warning."""


def experiment(
    study: Study, parent: str, edits: Mapping[str, Json], claim: str, *, refuted_if: Refutation | None = None
) -> Idea | None:
    """The parent's recipe with the edits, as the planner's idea; None where it does not fit, was proposed before, or
    a standing lesson warns of it.

    Args:
        claim: what it is to show.
        refuted_if: by default a gain over the parent, or where that has no score over the incumbent, of no more than
            nothing.
    """
    if study.plan is None or parent not in study.proposals or not edits:
        return None
    space, recipe = study.plan.space, study.recipe_of(parent).recipe
    if problems(space, recipe, edits, _taken(study)):
        return None
    made = project(space, recipe, edits)
    if warning(study, made) is not None:
        return None
    against = parent if study.jobs[parent].score is not None else study.incumbent or "base"
    test = refuted_if or Refutation(quantity="gain", relation="<=", value=0.0, trial=against)
    cites = tuple(one.id for one in speaking_for(study, made, edits))
    return Idea(
        recipe=made,
        origin="planner",
        reason=f"{_after(study, cites)}{claim}; refuted if {test.says()}",
        parent=parent,
        hypothesis=Hypothesis(claim=claim, refuted_if=test),
        cites=cites,
    )


def from_lessons(study: Study, parent: str) -> Idea | None:
    """What the surest recalled lesson advises that was not tried: the parent's recipe with that setting."""
    recalled = [one for id in study.insights.recalled or () if not (one := study.insights.memory[id]).dropped]
    for one in sorted(recalled, key=lambda one: (-(one.likeness or 0.0) * one.confidence, one.id)):
        if one.confidence < _SURE or not one.lesson.advice:
            continue
        claim = f"what held in {one.lesson.study} holds here: {_first(one.lesson.claim)}"
        made = experiment(study, parent, one.lesson.advice, claim)
        if made is not None:
            return made if one.id in made.cites else made.model_copy(update={"cites": (one.id, *made.cites)})
    return None


def next_experiment(study: Study) -> Idea | None:
    """The newest experiment that waits, else what a recalled lesson advises; None if there is neither."""
    made = _queued(study)
    if made is not None or not study.insights.recalled or any(one.idea.cites for one in study.proposals.values()):
        return made
    best = study.best()  # what other studies advise is tried once by itself; then it is the panel's to come back to
    return from_lessons(study, best.id) if best is not None else None


def _queued(study: Study) -> Idea | None:
    """The newest, which knows the most, that was not proposed or dropped since and still is of use."""
    if not study.insights.experiments:
        return None
    run = proposed(study) | study.stock.dropped
    waiting = (one for one in reversed(study.insights.experiments) if one.recipe.fingerprint not in run)
    return next((one for one in waiting if warning(study, one.recipe) is None and not overtaken(study, one)), None)


def overtaken(study: Study, idea: Idea) -> bool:
    """Whether the trial that an idea is to improve on has fallen behind the best by more than noise: what it asks was
    worth a trial when it was queued, and no longer is."""
    aim = idea.hypothesis.refuted_if.trial if idea.hypothesis is not None else None
    job, best, apart = study.jobs.get(aim or idea.parent or ""), study.best(), noise(study)
    if job is None or job.estimate is None or best is None or best.score is None or apart is None:
        return False
    return study.task is not None and study.task.metric.gain(best.score, job.estimate) > apart


def _taken(study: Study) -> set[str]:
    """Fingerprints of what was proposed, waits to be, or was dropped."""
    return proposed(study) | study.stock.dropped | {one.recipe.fingerprint for one in study.insights.experiments}


def warning(study: Study, recipe: Recipe) -> Remembered | None:
    """A standing lesson that speaks against a recipe: a rate that was too high, a batch that did not fit."""
    settings = flatten(recipe.model_dump(mode="json"))
    for one in study.insights.standing:
        check = one.lesson.check
        if check is None or one.confidence < _SURE or settings.get(KIND) != check.about.get("adapter"):
            continue
        too_hot = check.rule == "too hot" and recipe.stages[0].optimisation.lr >= float(check.about["lr"])
        too_large = check.rule == "memory" and recipe.stages[0].optimisation.batch_size >= float(check.about["batch"])
        if too_hot or too_large:
            return one
    return None


def speaking_for(study: Study, recipe: Recipe, edits: Mapping[str, Json]) -> list[Remembered]:
    """Standing lessons whose advice the edits follow."""
    settings = flatten(recipe.model_dump(mode="json"))
    return [
        one
        for one in study.insights.standing
        if one.lesson.advice
        and set(one.lesson.advice) & set(edits)
        and all(_same(settings.get(path), value) for path, value in one.lesson.advice.items())
    ]


def fits(study: Study, parent: str, edits: Mapping[str, Json]) -> list[str]:
    """Why these edits are no experiment, one line each."""
    if study.plan is None or parent not in study.proposals:
        return [f"'{parent}' is no trial of this study"]
    try:
        return problems(study.plan.space, study.recipe_of(parent).recipe, edits, proposed(study))
    except ValidationError as error:
        return [str(error.errors()[0]["msg"])]


def _after(study: Study, cites: Iterable[str]) -> str:
    """Such as ``after l-3fa9c1d2 of route-01: ``."""
    said = [
        f"{id} of {one.lesson.study}" if (one := study.insights.memory[id]).lesson.study not in ("", study.name) else id
        for id in cites
    ]
    return f"after {' and '.join(said)}: " if said else ""


def _first(claim: str) -> str:
    """A claim without the numbers and trials of another study."""
    for end in (" by ", ", ", ": ", " ("):
        claim = claim.partition(end)[0]
    return claim


def _same(one: Json, other: Json) -> bool:
    return one == other or (isinstance(one, list | tuple) and list(one) == list(other or ()))
