"""The planner's ideas that wait for their turn, as the journal tells them."""

from __future__ import annotations

from tunewright.domain import event as ev
from tunewright.domain.proposal import Idea


class Stock:
    """Kept by ``Study.fold``."""

    def __init__(self) -> None:
        self.advised: list[ev.Advised] = []
        """Answers of the planner, whether of use or not, oldest first."""
        self.useless: list[ev.AdviceDropped] = []
        """Ideas that were dropped before their turn, oldest first."""
        self.waiting: list[Idea] = []
        """Ideas of that answer that were neither proposed nor dropped since, the best first."""
        self.dropped: set[str] = set()
        """Fingerprints of ideas that were dropped."""
        self.turns = 0
        """Batches proposed, jobs launched and jobs ended: the time of a study as its decisions have it."""

    @property
    def last(self) -> ev.Advised | None:
        """The planner's newest answer."""
        return self.advised[-1] if self.advised else None

    def fold(self, one: ev.Event) -> None:
        """Takes one event in."""
        match one:
            case ev.Advised():
                self.waiting = list(one.ideas)
                self.advised.append(one)
            case ev.AdviceDropped():
                self.useless.append(one)
                self.dropped.add(one.recipe)
                self.waiting = [idea for idea in self.waiting if idea.recipe.fingerprint != one.recipe]
            case ev.Proposed():
                self.turns += 1
                for proposal in one.proposals:
                    if self.waiting and proposal.idea.origin == "planner":
                        self._proposed(proposal.idea)
            case ev.JobLaunched() | ev.JobEnded():
                self.turns += 1

    def _proposed(self, made: Idea) -> None:
        """Takes the idea out that a proposal was made of: its recipe, or the same idea made smaller or moved to
        another trial, which adds to its reason.
        """
        known = made.recipe.fingerprint
        same = [one for one in self.waiting if one.recipe.fingerprint == known]
        same += [one for one in self.waiting if made.reason.startswith(one.reason)]
        self.waiting = [one for one in self.waiting if one is not next(iter(same), None)]
