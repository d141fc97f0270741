"""What a study gains from an earlier one on a sister task, and loses by one on a task that has little to say to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from course import Course
from method import OUR_RUNGS
from study import Replay, played
from table import Table
from world import World

from tunewright.domain.precedent import FoundRecipe, Kin, Precedent, TaskFeatures, likeness

REACHED = 0.98
"""Of what the study without an earlier one ends with: trials are counted to there."""


@dataclass(frozen=True)
class Warmth:
    """Two studies of the same task, seed and first guess: from nothing, and after an earlier one."""

    cold: Course
    warm: Course

    @property
    def ratio(self) -> float:
        """Trials to the same score, with : without; infinite if it is not reached."""
        last = self.cold.points[-1][1] if self.cold.points else math.inf
        return self.warm.trials_to(REACHED * last) / self.cold.trials_to(REACHED * last)


def after(world: World, other: World, budget_s: float, seed: int) -> Course:
    """A study in ``world`` that begins from one in ``other``."""
    before = played(other, "tree", "promising", budget_s, seed + 1, OUR_RUNGS)
    like = likeness(_features(world.table), _features(other.table))
    kin = (Kin(precedent=_precedent(before), likeness=like),)
    return played(world, "tree", "promising", budget_s, seed, OUR_RUNGS, kin).course


def _precedent(before: Replay) -> Precedent:
    """What the program keeps of a study: gains over its default."""
    study = before.study
    default = study.jobs[study.default or ""].score
    assert default is not None, "the first guess of a replay does not fail"
    found = tuple(
        FoundRecipe(recipe=study.recipe_of(job.id).recipe, gain=job.score - default)
        for job in study.trials
        if job.score is not None
    )
    return Precedent(study="earlier", features=_features(before.world.table), found=found)


def _features(table: Table) -> TaskFeatures:
    return TaskFeatures(
        format="label", metric="accuracy", labels=len(table.labels), rows=table.rows["train"], model="search-base",
        parameters=658_048, base=table.base.score,
    )  # fmt: skip
