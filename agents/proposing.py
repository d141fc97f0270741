"""A recipe with a few of its settings changed, put back into the space: what every idea of a planner is."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from tunewright.domain.frozen import Json
from tunewright.domain.proposal import Idea
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Assignment, Dimension, Space
from tunewright.domain.study import Study


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
    kept = kept_settings(space, recipe)
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


def kept_settings(space: Space, recipe: Recipe) -> Assignment:
    """What the recipe has for each dimension that is active in it and holds its value."""
    assignment = space.assignment(recipe)
    return {d.name: assignment[d.name] for d in space.active(assignment) if d.holds(assignment[d.name])}


def proposed(study: Study) -> set[str]:
    """Fingerprints of every recipe that was proposed, as it was made and as a reviewer changed it."""
    made = {one.recipe.fingerprint for one in study.proposals.values()}
    return made | {study.recipe_of(one).recipe.fingerprint for one in study.proposals}


def moved(study: Study, idea: Idea, parent: str) -> Idea | None:
    """The idea with what it changes changed in another trial's recipe; None where that is no idea any more."""
    if idea.parent == parent:
        return idea
    if study.plan is None or idea.parent not in study.proposals:
        return None
    space, recipe = study.plan.space, study.recipe_of(parent).recipe
    before, after = (kept_settings(space, one) for one in (study.recipe_of(idea.parent).recipe, idea.recipe))
    paths = {dimension.name: dimension.path for dimension in space.dimensions}
    edits = {paths[name]: value for name, value in after.items() if name not in before or before[name] != value}
    if problems(space, recipe, edits, proposed(study)):
        return None
    found = idea.hypothesis
    if found is not None and found.refuted_if.trial == idea.parent:
        found = found.model_copy(update={"refuted_if": found.refuted_if.model_copy(update={"trial": parent})})
    reason = f"{idea.reason}; meant for {idea.parent}, tried on {parent}"
    made = {"recipe": project(space, recipe, edits), "parent": parent, "hypothesis": found, "reason": reason}
    return idea.model_copy(update=made)


def _fitting(dimension: Dimension, value: Json) -> Json:
    value = tuple(value) if isinstance(value, list) else value
    if not dimension.holds(value):
        raise ValueError(f"{dimension.path}: {value} is outside {dimension.says()}")
    return int(value) if dimension.kind == "int" else value


def changed_trial(study: Study) -> str | None:
    """The trial whose recipe is changed: the incumbent, or while that is the base model the best or first trial."""
    if study.incumbent in study.proposals:
        return study.incumbent
    best = study.best()
    return best.id if best is not None else next(iter(study.proposals), None)
