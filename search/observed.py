"""A study's trials as a model has them, kept from one question to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunewright.domain.outcome import Measurement
from tunewright.domain.proposal import Plan
from tunewright.domain.study import Study
from tunewright.search.basis import Basis
from tunewright.search.evidence import Evidence, gather
from tunewright.search.history import Entry, History
from tunewright.search.model import Model
from tunewright.search.pruning import higher_is_better
from tunewright.search.standing import Standing, Standings

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Observed:
    """The trials of studies with this plan that were launched inside its space, and those of earlier studies.

    Args:
        plan: whose space, rungs and earlier studies they have.
    """

    def __init__(self, plan: Plan) -> None:
        self._basis = Basis.of(plan)
        self.tree = self._basis.tree
        self._history, self._standings = History(plan.space), Standings()
        self._trials: dict[str, tuple[Standing, FrozenTrial]] = {}

    def fits(self, plan: Plan) -> bool:
        """Whether a plan has the same space, rungs and earlier studies."""
        return self._basis.fits(plan)

    def trials(self, study: Study, newest: Mapping[str, Measurement] | None = None) -> tuple[list[str], list[Evidence]]:
        """Their names, and what they say; failed ones, of which nobody is to learn, are left out.

        Args:
            newest: trial -> its measurement at a rung, which need not be in the journal yet.
        """
        entries = [e for e in self._history.entries(study) if e.point is not None and e.id in study.jobs]
        trials = [self._trial(study, entry, number, newest or {}) for number, entry in enumerate(entries)]
        found = gather(trials, maximise=higher_is_better(study), pace=self.tree.pace, said=self._basis.known.said)
        return [entries[one.number].id for one in found], found

    def model(self, found: Sequence[Evidence]) -> Model:
        """Of what the trials say, and of what earlier studies found, which comes behind it."""
        basis = self._basis
        return Model(self.tree, [*found, *basis.earlier], kinship=basis.kinship, known=basis.known.rows)

    def _trial(self, study: Study, entry: Entry, number: int, newest: Mapping[str, Measurement]) -> FrozenTrial:
        now = self._standings.of(study, entry)
        if entry.id in newest:
            now = _with(now, newest[entry.id])
        known = self._trials.get(entry.id)
        if known is None or known[0] is not now:
            assert entry.point is not None, "only entries inside the space are asked about"
            known = self._trials[entry.id] = (
                now,
                now.as_trial(entry.point, self._basis.space, user_attrs=now.attributes),
            )
        known[1].number = number
        return known[1]


def _with(now: Standing, measurement: Measurement) -> Standing:
    assert measurement.rung is not None
    return replace(now, rungs={**now.rungs, measurement.rung + 1: measurement.value})
