"""The default strategy: any of Optuna's samplers, asked and told through a journal file that is a view of ours."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.domain.errors import UsageError, boundary
from tunewright.domain.goal import tradeoffs
from tunewright.domain.proposal import Idea, Plan
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Assignment
from tunewright.domain.study import Study
from tunewright.search.draw import recipe_of, unproposed
from tunewright.search.history import Entry, History, scores, seed_for
from tunewright.search.random import YARDSTICK
from tunewright.search.reason import reason
from tunewright.search.samplers import build_sampler, sampler_name, shown_trials, startup_trials
from tunewright.search.scarcity import cost_weight
from tunewright.search.view import OptunaView

if TYPE_CHECKING:
    from tunewright.search.basis import Basis

ATTEMPTS = 10
"""Questions to the sampler before an idea that was proposed already is replaced by a random one."""


class OptunaStrategy:
    """Ask and tell over Optuna's ``JournalStorage``.

    Each idea's sampler is seeded by the number of proposals before it, so the same study gets the same ideas, also
    from a file written anew. Samplers that keep a state beyond the trials (the genetic ones, ``qmc``) begin a new
    generation or sequence then.

    Args:
        path: the study's ``optuna.journal``; made, or made anew if it does not fit the study.
        sampler: a name of ``samplers()``.
        seed: of the sampler; the recipes' own seed is the plan's.

    Raises:
        UnknownNameError: no such sampler.
        UsageError: the sampler cannot be used here.
    """

    def __init__(self, path: Path, *, sampler: str = "tpe", seed: int = 0) -> None:
        self._path, self._seed = path, seed
        self._sampler = sampler_name(sampler)
        self._history: History | None = None
        self._view: OptunaView | None = None
        self._basis: Basis | None = None

    def ask(self, study: Study, count: int) -> list[Idea]:
        """See ``Strategy.ask``. One file write a setting and one a told fact; nothing is read twice.

        Raises:
            UsageError: the sampler cannot search this space.
        """
        assert study.plan is not None, "a strategy is asked after the plan"
        history, view = self._opened(study, study.plan)
        entries = history.entries(study)
        mark = view.sync(study, entries)
        ideas: list[Idea] = []
        if not entries and count > 0:
            recipe = study.plan.space.build(study.plan.space.default()).reseeded(study.plan.seed)
            ideas.append(Idea(recipe=recipe, origin="default", reason=YARDSTICK))
        while len(ideas) < count:
            known = [*entries, *(history.thought(idea.recipe) for idea in ideas)]
            idea = self._idea(study, view, f"{mark}:{len(ideas)}", known)
            if idea is None:
                break
            ideas.append(idea)
        return ideas

    def _idea(self, study: Study, view: OptunaView, asked: str, entries: Sequence[Entry]) -> Idea | None:
        """One idea more than ``entries``, which hold the ideas of this batch too."""
        assert study.plan is not None
        space, trials, index = study.plan.space, study.plan.trials[1], len(entries)
        proposed = {fingerprint for entry in entries for fingerprint in entry.fingerprints}
        known = scores(study)
        for attempt in range(ATTEMPTS):
            number, point = self._think(view, asked, seed_for(self._seed, index, attempt), study)
            recipe = recipe_of(space, point, study.plan.seed)
            if recipe is not None and recipe.fingerprint not in proposed:
                prefix = self._sampler + (", random start" if self._starting(len(known), trials) else "")
                weights = view.weights(number)
                prefix += f" for {weights}" if weights else ""
                branch, parent = view.lineage(number)
                why, near = reason(prefix, space, point, entries, known, branch=branch)
                return _said(recipe, why, parent or near)
            view.drop(number, "proposed before" if recipe is not None else "no valid recipe")
        recipe = unproposed(space, study.plan.seed, proposed, random.Random(seed_for(self._seed, index)))
        if recipe is None:
            return None
        prefix = f"{self._sampler} repeats itself, drawn at random"
        return _said(recipe, *reason(prefix, space, space.assignment(recipe), entries, known))

    def _think(self, view: OptunaView, asked: str, seed: int, study: Study) -> tuple[int, Assignment]:
        assert study.plan is not None
        found = view.thought(asked)
        if found is not None:
            return found
        with boundary(UsageError, f"search this space with the sampler '{self._sampler}'", "use --sampler tpe"):
            return view.think(
                asked,
                build_sampler(
                    self._sampler,
                    self._based(study.plan),
                    seed=seed,
                    trials=study.plan.trials[1],
                    cost_weight=cost_weight(study),
                    goals=tradeoffs(study.plan.task),
                    priors=study.plan.priors,
                ),
                shown=shown_trials(self._sampler),
            )

    def _starting(self, scored: int, trials: int) -> bool:
        return self._sampler in ("tpe", "gp") and scored < startup_trials(trials)

    def _opened(self, study: Study, plan: Plan) -> tuple[History, OptunaView]:
        """History and view of this plan's space; both are made anew if the plan was changed."""
        if self._history is None or self._view is None or not self._history.fits(plan.space):
            self._history, self._view = History(plan.space), OptunaView(self._path, study, plan.space)
        return self._history, self._view

    def _based(self, plan: Plan) -> Basis:
        """Likewise, what the search goes by."""
        from tunewright.search.basis import Basis

        if self._basis is None or not self._basis.fits(plan):
            self._basis = Basis.of(plan)
        return self._basis


def _said(recipe: Recipe, why: str, parent: str | None) -> Idea:
    return Idea(recipe=recipe, origin="sampler", reason=why, parent=parent)
