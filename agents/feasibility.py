"""Whether a recipe fits into memory, by how much it does not, and what would: with the same task, batch and steps.

A recipe whose interval lies above the limit is not launched. One whose interval holds the limit is tried first
(``agents.preflight``). Either way the search is told by how much the limit is passed.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunewright.agents.specification import Specifier, memory_limit
from tunewright.domain.errors import UsageError
from tunewright.domain.proposal import Decision, Forecast, Idea
from tunewright.domain.recipe import LEVERS, Memory, Recipe
from tunewright.domain.study import Study

AT_LEAST = 0.1
"""By how much, as a share, the limit is taken to be passed by what was killed for it."""


def near(study: Study, forecast: Forecast) -> bool:
    """Whether the forecast leaves it open that the recipe fits."""
    limit = memory_limit(study)
    return limit is not None and forecast.memory_gib.low <= limit < forecast.memory_gib.high


def excess(study: Study, gib: float) -> float | None:
    """By how much, as a share, ``gib`` passes the limit; None if it does not."""
    limit = memory_limit(study)
    return gib / limit - 1 if limit is not None and gib > limit else None


def surely_passed(study: Study, forecast: Forecast) -> float | None:
    """By how much, as a share, the limit is passed where even the low end of the forecast passes it."""
    return None if excess(study, forecast.memory_gib.low) is None else excess(study, forecast.memory_gib.expected)


def rejected(study: Study, trial: str, specifier: Specifier, *, by: str, reason: str, passed: float) -> Decision:
    """The end of a proposal that does not fit, with what is proposed instead if anything of it would."""
    instead = leaner_recipe(study, study.recipe_of(trial).recipe, specifier)
    return Decision(target=trial, action="reject", by=by, reason=reason, excess=passed, instead=instead)


def leaner_recipe(study: Study, recipe: Recipe, specifier: Specifier) -> Recipe | None:
    """The recipe with the cheapest of what keeps memory low that lets it fit, or else with the most of it that may;
    None if nothing does.
    """
    limit = memory_limit(study)
    assert limit is not None, "without a limit everything fits"
    found = None
    for leaner in _leaner(recipe, study.options.gpus > 0):
        if study.plan is not None and study.plan.space.problems(leaner):
            continue
        try:
            specifier.check(leaner)
            memory = specifier.forecast(study, leaner).memory_gib
        except UsageError:
            continue  # such as an adapter whose layers cannot be computed again
        if memory.low <= limit:
            found = leaner
        if memory.high <= limit:
            break
    return found


def unfit_in_a_row(study: Study) -> int:
    """How many of the newest recipes a preflight was spent on in vain, with none between them that fitted."""
    count = 0
    for target in reversed(study.proposals):
        decision = study.decisions.get(target)
        if decision is None or decision.excess is None:
            break
        count += decision.by == "preflight"
    return count


def _leaner(recipe: Recipe, gpu: bool) -> Iterator[Recipe]:
    from tunewright.tools.training.memory import leaner

    size = max(stage.optimisation.batch_size for stage in recipe.stages)
    seen = [recipe.stages]
    for settings in zip(*(leaner(stage.memory, size, gpu=gpu) for stage in recipe.stages), strict=True):
        # Also without layers that are computed twice, which not every adapter can do.
        for same in ((), ("checkpoint_every",)):
            kept = [stage.memory.model_dump(include=set(same)) for stage in recipe.stages]
            made = [now.model_copy(update=own) for now, own in zip(settings, kept, strict=True)]
            stages = tuple(
                stage.model_copy(update={"memory": now}) for stage, now in zip(recipe.stages, made, strict=True)
            )
            if stages not in seen:
                seen.append(stages)
                yield recipe.model_copy(update={"stages": stages})


def repairs(study: Study) -> list[Idea]:
    """What is to be proposed instead of recipes that did not fit, and was not yet."""
    due = {target: decision.instead for target, decision in study.decisions.items() if decision.instead is not None}
    for proposal in study.proposals.values() if due else ():
        parent = proposal.idea.parent
        if parent in due and due[parent] == proposal.recipe:
            del due[parent]
    return [
        Idea(
            recipe=recipe,
            origin=study.recipe_of(target).idea.origin,
            reason=f"{target} does not fit into memory, and this does the same {_how(study, target, recipe)}",
            parent=target,
        )
        for target, recipe in due.items()
    ]


def _how(study: Study, target: str, recipe: Recipe) -> str:
    """What was changed, in words."""
    before, now = study.recipe_of(target).recipe.stages[0].memory, recipe.stages[0].memory
    changed = [name for name in LEVERS if getattr(before, name) != getattr(now, name)]
    return " and ".join(_said(name, now) for name in changed) or "with less"


def _said(name: str, memory: Memory) -> str:
    match name:
        case "micro_batch":
            return f"in micro-batches of {memory.micro_batch}"
        case "checkpoint_every":
            layers = "each layer" if memory.checkpoint_every == 1 else f"one of {memory.checkpoint_every} layers"
            return f"with {layers} computed twice"
        case "offload":
            return "with activations kept elsewhere"
        case _:
            return "with freed memory given back at once"
