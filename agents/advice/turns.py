"""Whose turn it is among the planner's ideas: what a language model has in stock and what the reflection panel would
try next take turns; at most one a round and three in ten of all (``risk.share`` says how many).
"""

from __future__ import annotations

from collections.abc import Callable

from tunewright.agents.proposing import changed_trial, moved
from tunewright.agents.risk.share import ideas_left
from tunewright.domain import ledger
from tunewright.domain.advice import AdviceDropped, Advised
from tunewright.domain.proposal import Idea
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study

STALE = 10
"""So many trials end after ideas were given before they are asked for anew: by then more is known than they knew."""
PATIENCE = 5
"""So many trials end before it is asked again, where all that it last gave was dropped: for that no share falls."""

Experiment = Callable[[Study], Idea | None]
Drop = Callable[[AdviceDropped], object]
Hopeless = Callable[[Study, Recipe], str | None]
"""Why a recipe is surely no better than the best trial; None where it may be."""


def nothing(study: Study) -> None:
    """No experiment waits."""


def planner_ideas(
    study: Study,
    *,
    experiment: Experiment = nothing,
    drop: Drop = lambda dropped: None,
    hopeless: Hopeless = lambda study, recipe: None,
) -> list[Idea]:
    """One idea, or none; none beyond the planner's share. Where one of the two has nothing, the other takes its turn.

    Args:
        experiment: gives the panel's newest experiment that waits, if any.
        drop: is told what waited and is of no use any more.
        hopeless: is asked of each idea whose turn it is.
    """
    if study.plan is None or changed_trial(study) is None or not ideas_left(study):
        return []
    made = _promising(study, experiment, drop, hopeless)
    if made is not None and _panels_turn(study):
        return [made]
    found = _next(study, drop, hopeless) or made
    return [found] if found is not None else []


def ideas_due(study: Study, experiment: Experiment = nothing) -> bool:
    """Whether a language model is to be asked now: the next proposal may be its own, and nothing of it is in stock. It
    is asked once for each state of the proposals, whatever came of it, and not before the last approved trial has
    begun: what ends until then is known to it.
    """
    if study.plan is None or study.search_ended is not None or changed_trial(study) is None:
        return False
    if study.approved or ledger.trials_left(study) == 0:
        return False
    last = study.stock.last
    if (last is not None and last.asked_after >= len(study.proposals)) or fresh(study) or not ideas_left(study):
        return False
    if last is not None and _in_vain(study, last) and _ended_since(study, last) < PATIENCE:
        return False
    return not (_panels_turn(study) and experiment(study) is not None)


def fresh(study: Study) -> list[Idea]:
    """Ideas that wait and are worth a trial still: they change the trial that would be changed now, and were given a
    few trials ago at most. Where the trial to change became another while they were thought of, what they change is
    changed there: they cannot be asked for anew before their turn.
    """
    last, parent = study.stock.last, changed_trial(study)
    if last is None or parent is None or not study.stock.waiting:
        return []
    if _ended_since(study, last) >= STALE:
        return []
    if last.asked_after < len(study.proposals):
        return [idea for idea in study.stock.waiting if idea.parent == parent]
    return [made for idea in study.stock.waiting if (made := moved(study, idea, parent)) is not None]


def _ended_since(study: Study, advised: Advised) -> int:
    """Trials that have ended since it was asked."""
    return sum(job.ended for job in study.trials) - advised.ended


def _in_vain(study: Study, advised: Advised) -> bool:
    """Whether it had ideas, and all of them were dropped."""
    return bool(advised.ideas) and all(one.recipe.fingerprint in study.stock.dropped for one in advised.ideas)


def _promising(study: Study, experiment: Experiment, drop: Drop, hopeless: Hopeless) -> Idea | None:
    """The panel's newest experiment that is worth a trial; the others are dropped with a word."""
    while (made := experiment(study)) is not None and made.recipe.fingerprint not in study.stock.dropped:
        why = hopeless(study, made.recipe)
        if why is None:
            return made
        drop(AdviceDropped(recipe=made.recipe.fingerprint, says=made.reason, why=why))
        if made.recipe.fingerprint not in study.stock.dropped:  # nobody has written it down
            break
    return None


def _next(study: Study, drop: Drop, hopeless: Hopeless) -> Idea | None:
    """The best that waits. What was run meanwhile, fits no more or is hopeless by now is dropped with a word."""
    for idea in fresh(study):
        why = _useless(study, idea) or hopeless(study, idea.recipe)
        if not why:
            return idea
        drop(AdviceDropped(recipe=idea.recipe.fingerprint, says=idea.reason, why=why))
    return None


def _useless(study: Study, idea: Idea) -> str:
    assert study.plan is not None
    same = (id for id in study.proposals if study.recipe_of(id).recipe.fingerprint == idea.recipe.fingerprint)
    known = next(same, None)
    if known is not None:
        return f"{known} has the same recipe"
    return next(iter(study.plan.space.problems(idea.recipe)), "")


def _panels_turn(study: Study) -> bool:
    return sum(proposal.idea.origin == "planner" for proposal in study.proposals.values()) % 2 == 1
