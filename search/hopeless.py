"""Ideas that are surely not better than the best trial: a model of all trials says so before they are begun.

It is asked of ideas that somebody else than the sampler has, who knows less of what was tried. The model is surer than
it may be, so only next to no chance counts for none (docs/decisions/0024).
"""

from __future__ import annotations

from tunewright.domain.goal import tradeoffs
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.search.expecting import Expecting

CHANCE = 1e-4
"""Of beating the best trial by any margin, below which an idea is left out."""
LEAST = 10
"""Trials with a score at their end, before the model is believed in this."""


class Hopeless:
    """Says why an idea is not worth a trial. Learns from the study alone; keeps what it worked out of each recipe."""

    def __init__(self) -> None:
        self._expecting = Expecting()

    def __call__(self, study: Study, recipe: Recipe) -> str | None:
        """The reason; None where it may be better than the best trial, or too little is known to say.

        Nothing is said in a study with goals that are traded off: what scores less may win there.
        """
        best = study.jobs.get(study.incumbent or "")
        if study.plan is None or best is None or best.score is None or tradeoffs(study.plan.task):
            return None
        ended = sum(job.estimate is not None for job in study.trials)
        if ended < LEAST:
            return None
        (hope,) = self._expecting(study, [recipe], best.score)
        if hope is None or hope.chance >= CHANCE:
            return None
        worse = f"{-hope.gain:.2g} worse than {best.id}" if hope.gain < 0 else f"no better than {best.id}"
        return (
            f"after {ended} trials it is expected to be {worse}, and to beat it once in {1 / CHANCE:,.0f} times at most"
        )
