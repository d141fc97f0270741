"""Calls of language models, as the journal tells them: which are under way, and how many answers each role has had."""

from __future__ import annotations

from tunewright.domain import event as ev
from tunewright.domain.budget import Cost


class ModelCalls:
    """Kept by ``Study``."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        """Role -> answers its present language model has given, valid or not."""
        self.paid = Cost()
        """For all of them, also those that died with an earlier process."""
        self._held: dict[str, Cost] = {}

    def fold(self, one: ev.ModelAsking | ev.ModelAsked) -> Cost:
        """Takes one event in; what is to be paid for it."""
        match one:
            case ev.ModelAsking():
                self._held[one.call] = one.reserved
                return Cost()
            case ev.ModelAsked():
                self._held.pop(one.call, None)
                self.answers[one.role] = self.answers.get(one.role, 0) + int(one.answered)
                self.paid += one.cost
                return one.cost

    def lost(self) -> Cost:
        """What an earlier process died over may have been billed: all that was held for it is to be paid."""
        lost = self.held
        self.paid += lost
        self._held.clear()
        return lost

    @property
    def held(self) -> Cost:
        """For calls that are under way."""
        return sum(self._held.values(), Cost())

    def changed(self, before: ev.StudyOptions, after: ev.StudyOptions) -> None:
        """Other language models were chosen: a new one has given no answers yet."""
        for role in [role for role in self.answers if before.model_of(role) != after.model_of(role)]:
            del self.answers[role]
