"""Random search in plain Python: a strategy without Optuna, for tests and as the yardstick of every other."""

from __future__ import annotations

import random

from tunewright.domain.proposal import Idea
from tunewright.domain.study import Study
from tunewright.search.draw import unproposed
from tunewright.search.history import History, scores, seed_for
from tunewright.search.reason import reason

YARDSTICK = "the yardstick: every setting at its default"


class RandomStrategy:
    """The default first, then recipes drawn from the space, none of them twice.

    Args:
        seed: of the draws; the recipes' own seed is the plan's.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._history: History | None = None

    def ask(self, study: Study, count: int) -> list[Idea]:
        """See ``Strategy.ask``."""
        assert study.plan is not None, "a strategy is asked after the plan"
        space, seed = study.plan.space, study.plan.seed
        if self._history is None or not self._history.fits(space):
            self._history = History(space)
        entries = self._history.entries(study)
        ideas: list[Idea] = []
        if not entries and count > 0:
            ideas.append(Idea(recipe=space.build(space.default()).reseeded(seed), origin="default", reason=YARDSTICK))
        while len(ideas) < count:
            known = [*entries, *(self._history.thought(idea.recipe) for idea in ideas)]
            proposed = {fingerprint for entry in known for fingerprint in entry.fingerprints}
            rng = random.Random(seed_for(self._seed, len(known)))
            recipe = unproposed(space, seed, proposed, rng)
            if recipe is None:
                break
            why, _ = reason("random", space, space.assignment(recipe), known, scores(study))
            ideas.append(Idea(recipe=recipe, origin="sampler", reason=why))
        return ideas
