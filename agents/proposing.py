"""The planner's own ideas: at most one a round and three in ten of all (``risk.share`` says how many), each inside the
space and graded like any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ConfigDict, ValidationError, model_validator

from tunewright.agents import toolbox
from tunewright.agents.context.told import with_history
from tunewright.agents.risk.share import ideas_left
from tunewright.agents.schemas import IdeaAnswer
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.frozen import Json
from tunewright.domain.proposal import Hypothesis, Idea, Refutation
from tunewright.domain.protocols import Brain
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Assignment, Condition, Dimension, Space
from tunewright.domain.study import Study

ROLE = "proposer"
_LATEST = 3
_ROUNDS = 4
"""Of calls before the answer: each is billed the whole question again."""


def planner_ideas(
    study: Study,
    brain: Brain | None,
    *,
    folder: Path | None = None,
    warn: Callable[[str], None] = lambda message: None,
    experiment: Callable[[Study], Idea | None] = lambda study: None,
) -> list[Idea]:
    """One idea, or none: a language model's and what the reflection panel would try next, in turns; none beyond the
    planner's share. Where one of them has nothing, the other takes its turn.

    Args:
        folder: the study's, for tools to look at; None: the model answers without tools.
        warn: is told in one line why an idea that was asked for is missing.
        experiment: gives the panel's newest experiment that waits, if any.
    """
    incumbent = _incumbent(study)
    if study.plan is None or incumbent is None or not ideas_left(study):
        return []
    waiting = [idea] if (idea := experiment(study)) is not None else []
    planned = sum(proposal.idea.origin == "planner" for proposal in study.proposals.values())
    if brain is None or (waiting and planned % 2):
        return waiting
    space, recipe = study.plan.space, study.recipe_of(incumbent).recipe
    run = {study.recipe_of(one).recipe.fingerprint for one in study.proposals}

    class Checked(IdeaAnswer):
        model_config = ConfigDict(title="IdeaAnswer")

        @model_validator(mode="after")
        def _fits_the_space(self) -> Checked:
            wrong = problems(space, recipe, _edits(self), run)
            if wrong:
                raise ValueError("; ".join(wrong))
            return self

    try:
        prompt = idea_prompt(study, incumbent, askable=folder is not None)
        tools = toolbox.for_study(study, folder) if folder is not None else []
        answer = brain.converse(ROLE, prompt, Checked, tools, rounds=_ROUNDS)
    except (BrainError, BudgetError) as error:
        why = f" ({error.hint})" if error.hint and isinstance(error, BrainError) else ""
        warn(f"no idea from {brain.name}: {error.message}{why}")
        return waiting
    reason = f"{answer.hypothesis.rstrip('.')}; refuted if {answer.refuted_if}"
    edited = project(space, recipe, _edits(answer))
    test, cites = answer.test, tuple(id for id in answer.cites if id in study.insights.memory)
    known = test is not None and (test.trial in study.jobs if test.trial is not None else test.quantity != "gain")
    hypothesis = (
        Hypothesis(claim=answer.hypothesis, refuted_if=Refutation.model_validate(test.model_dump()))
        if test is not None and known
        else None
    )
    said = f"after {' and '.join(cites)}: {reason}" if cites else reason
    return [Idea(recipe=edited, origin="planner", reason=said, parent=incumbent, hypothesis=hypothesis, cites=cites)]


def problems(space: Space, recipe: Recipe, edits: Mapping[str, Json], run: set[str]) -> list[str]:
    """Why the edited recipe is no idea, one line each.

    Args:
        run: fingerprints of the recipes that were proposed already.
    """
    paths = sorted({dimension.path for dimension in space.dimensions})
    unknown = [f"{path} is not searched; choose from {', '.join(paths)}" for path in edits if path not in paths]
    if unknown:
        return unknown
    try:
        edited = project(space, recipe, edits)
    except ValidationError as error:
        return [str(error.errors()[0]["msg"])]
    except (KeyError, ValueError) as error:
        return [str(error)]
    if edited.fingerprint in run:
        return ["this recipe was proposed before"]
    return space.problems(edited)


def project(space: Space, recipe: Recipe, edits: Mapping[str, Json]) -> Recipe:
    """``recipe`` with ``edits`` (path -> value), put back into the space.

    Where an edit switches a condition, settings that the old recipe has no fitting value for take their default:
    from lora to full the rank goes and the learning rate starts in full's own range.

    Raises:
        ValueError: an edit is outside its range, or its path is not active under the others.
    """
    kept = _kept(space, recipe)
    assignment: Assignment = {}
    used: set[str] = set()
    for dimension in space.dimensions:
        if not dimension.active(assignment):
            continue
        if dimension.path in edits:
            assignment[dimension.name] = _fitting(dimension, edits[dimension.path])
            used.add(dimension.path)
        else:
            assignment[dimension.name] = kept.get(dimension.name, dimension.default)
    idle = sorted(edits.keys() - used)
    if idle:
        raise ValueError(f"{idle[0]} has no effect under the other settings")
    return space.build(assignment).reseeded(recipe.seed)


def _kept(space: Space, recipe: Recipe) -> Assignment:
    """What the recipe has for each dimension that is active in it and holds its value."""
    assignment = space.assignment(recipe)
    return {d.name: assignment[d.name] for d in space.active(assignment) if d.holds(assignment[d.name])}


def _fitting(dimension: Dimension, value: Json) -> Json:
    value = tuple(value) if isinstance(value, list) else value
    if not dimension.holds(value):
        raise ValueError(f"{dimension.path}: {value} is outside {dimension.says()}")
    return int(value) if dimension.kind == "int" else value


def _edits(answer: IdeaAnswer) -> dict[str, Json]:
    return {edit.path: edit.value for edit in answer.edits}


def _incumbent(study: Study) -> str | None:
    """The trial whose recipe is changed: the incumbent, or while that is the base model the best or first trial."""
    if study.incumbent in study.proposals:
        return study.incumbent
    best = study.best()
    return best.id if best is not None else next(iter(study.proposals), None)


def idea_prompt(study: Study, incumbent: str, *, askable: bool = False) -> str:
    """The question to a language model, of at most ``told.PROMPT_TOKENS`` tokens.

    Args:
        askable: whether it has tools to ask for what is left out of the history.
    """
    assert study.plan is not None
    task = study.plan.task
    base = study.base.score if study.base is not None else None
    return with_history(
        "propose",
        study,
        query=_of_interest(study, incumbent),
        askable=askable,
        task=task,
        labels=len(task.labels),
        rows=study.data.train.rows if study.data is not None else "an unknown number of",
        base="not measured" if base is None else f"{base:.3f}",
        space=[_range(study.plan.space, dimension) for dimension in study.plan.space.dimensions],
        incumbent=incumbent,
    )


def _of_interest(study: Study, incumbent: str) -> list[str]:
    """What the history is asked about: the recipe that is to be changed, and what was tried last."""
    return [incumbent, *(job.id for job in study.trials[-_LATEST:])]


def _range(space: Space, dimension: Dimension) -> str:
    conditions = " and ".join(_condition(space, condition) for condition in dimension.when)
    return f"{dimension.path}: {dimension.says()}" + (f", if {conditions}" if conditions else "")


def _condition(space: Space, condition: Condition) -> str:
    path = next((d.path for d in space.dimensions if d.name == condition.name), condition.name)
    return f"{path} is {' or '.join(str(value) for value in condition.values)}"
