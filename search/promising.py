"""Pauses at a rung what the model of all trials does not expect to win, and goes on with it when it does again.

Where successive halving looks at ranks at one rung alone, this asks what the rung says of the end of this recipe, given
what its kin showed from there on. A trial goes on while the chance that its end beats the best is worth it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tunewright.domain.outcome import Measurement
from tunewright.domain.protocols import Promotion, Steering
from tunewright.domain.space import Space
from tunewright.domain.study import Study
from tunewright.search import distributions
from tunewright.search.evidence import COST, gather
from tunewright.search.history import Entry, History
from tunewright.search.model import Model
from tunewright.search.pruning import least_peers, spared
from tunewright.search.space_tree import SpaceTree
from tunewright.search.standing import Standings

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CHANCE = 0.1
"""Of beating the best at the end, below which a trial is paused."""
SURE = 0.3
"""Above which one that waits goes on before anything new is begun."""


class PromisingScheduler:
    """Pauses a trial whose chance to beat the best is below ``chance``.

    Args:
        chance: below which a trial is paused.
        sure: from which one that waits is promoted.
    """

    def __init__(self, chance: float = CHANCE, sure: float = SURE) -> None:
        self._chance, self._sure = chance, sure
        self._view: _View | None = None

    def decide(self, study: Study, job: str, measurement: Measurement) -> Steering:
        """See ``Scheduler.decide``."""
        why = spared(study, job)
        if why:
            return Steering(action="continue", reason=why)
        where = f"{measurement.value:.3g} at step {measurement.step}"
        if not math.isfinite(measurement.value):
            return Steering(action="stop", reason=f"the score at step {measurement.step} is not a number")
        done = sum(one.score is not None for one in study.trials)
        if done < least_peers(study):
            few = f"{where}; {done} of the {least_peers(study)} trials that a forecast of its end needs are done"
            return Steering(action="continue", reason=few)
        chance = self._chances(study).get(job)
        if chance is None:
            return Steering(action="continue", reason=f"{where}; nothing can be said of its end yet")
        said = f"{where}; it beats the best at its end with a chance of {100 * chance:.0f} %"
        if chance >= self._chance:
            return Steering(action="continue", reason=said)
        return Steering(action="pause", reason=f"{said}, less than {100 * self._chance:.0f} %")

    def promote(self, study: Study, *, closing: bool = False) -> Promotion | None:
        """See ``Scheduler.promote``."""
        if not study.waiting:
            return None
        chances = self._chances(study)
        best = max(study.waiting, key=lambda job: chances.get(job.id, 0.0))
        chance = chances.get(best.id, 0.0)
        if chance < (self._chance if closing else self._sure):
            return None
        return Promotion(
            job=best.id, reason=f"by now it beats the best at its end with a chance of {100 * chance:.0f} %"
        )

    def _chances(self, study: Study) -> dict[str, float]:
        """Trial -> chance that its end beats the best end of a trial so far; nothing before a model can be fitted."""
        assert study.plan is not None
        if self._view is None or not self._view.fits(study.plan.space):
            self._view = _View(study.plan.space)
        return self._view.chances(study)


class _View:
    """The study's trials as a model has them."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._history, self._standings, self._tree = History(space), Standings(), SpaceTree(space)

    def fits(self, space: Space) -> bool:
        return self._history.fits(space)

    def chances(self, study: Study) -> dict[str, float]:
        from scipy.special import ndtr

        entries = [
            entry for entry in self._history.entries(study) if entry.point is not None and entry.id in study.jobs
        ]
        higher = study.task is None or study.task.metric.direction == "max"
        found = gather([self._trial(study, entry, number) for number, entry in enumerate(entries)], maximise=higher)
        model = Model(self._tree, found)
        if not model.fitted:
            return {}
        ended = [one.number for one in found if one.seen and one.seen[-1][0] == 1.0 and not one.faulty]
        best = max((model.worths[number] for number in _at(found, ended)), default=None)
        if best is None:
            return {}
        known = [index for index, one in enumerate(found) if one.seen and not one.faulty]
        mean, spread = model.scores(model.rows[known])
        chances = ndtr((mean - best) / spread)
        return {entries[found[index].number].id: float(chance) for index, chance in zip(known, chances, strict=True)}

    def _trial(self, study: Study, entry: Entry, number: int) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        now = self._standings.of(study, entry)
        assert entry.point is not None
        params, spaces = distributions.encode(entry.point, self._space)
        trial = create_trial(
            state=now.state,
            values=now.values,
            params=params,
            distributions=spaces,
            user_attrs={COST: now.cost_s} if now.cost_s else {},
            system_attrs=now.constraint_attributes() if now.state != TrialState.RUNNING else {},
            intermediate_values=now.rungs,
        )
        trial.number = number
        return trial


def _at(found: list, numbers: list[int]) -> list[int]:
    return [index for index, one in enumerate(found) if one.number in numbers]
