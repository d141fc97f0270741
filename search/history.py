"""What a strategy knows of a study: every proposal as a point of the space, worked out once and kept.

Only a cache: it may be lost at any time, and answers the same when it is filled again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Assignment, Space
from tunewright.domain.study import Study


@dataclass(frozen=True)
class Entry:
    """One proposal as it stands after review."""

    id: str
    binding: str
    """Of the specification as approved or edited: changes if the recipe does."""
    fingerprints: frozenset[str]
    """Of the recipe as proposed and as edited: neither is proposed again."""
    point: Assignment | None
    """Where it lies; None if it is outside the space."""


class History:
    """The proposals of one study, in the journal's order. Each recipe is hashed once."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._known: dict[tuple[str, str], Entry] = {}

    def fits(self, space: Space) -> bool:
        """Whether it is about ``space``; looked at closely only when the object is another one."""
        if self.space is not space and self.space == space:
            self.space = space
        return self.space is space

    def entries(self, study: Study) -> list[Entry]:
        """One entry a proposal, in order."""
        return [self._entry(study, id) for id in study.proposals]

    def thought(self, recipe: Recipe) -> Entry:
        """An idea of the batch that is being put together, which no proposal has yet."""
        return Entry("", "", frozenset({recipe.fingerprint}), _point(self.space, recipe))

    def _entry(self, study: Study, id: str) -> Entry:
        proposal, decision = study.proposals[id], study.decisions.get(id)
        edited = decision is not None and decision.action == "edit" and decision.binds
        key = (id, edited or proposal.binding)
        if key not in self._known:
            recipe = study.recipe_of(id).recipe
            fingerprints = frozenset({proposal.recipe.fingerprint, recipe.fingerprint})
            self._known[key] = Entry(id, key[1], fingerprints, _point(self.space, recipe))
        return self._known[key]


def scores(study: Study) -> dict[str, float]:
    """Trial -> validation score of those that came to their end; estimated where that was scored in part."""
    return {job.id: job.estimate for job in study.trials if job.estimate is not None}


def seed_for(seed: int, *parts: object) -> int:
    """A 31-bit seed of its own for each idea and attempt, the same on every machine."""
    text = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


def _point(space: Space, recipe: Recipe) -> Assignment | None:
    return space.assignment(recipe) if space.contains(recipe) else None
