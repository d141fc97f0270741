"""What the reflection panel looks at: a study, and the trials that are under discussion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tunewright.agents.outcome_facts import TrialFacts, ended_trials, noise
from tunewright.agents.reflection.grade import Grade, grades
from tunewright.agents.reflection.levers import Lever, levers, part
from tunewright.domain.errors import DataError
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Evidence
from tunewright.domain.outcome import Item
from tunewright.domain.study import Study

_KIND = "stages.0.adapter.kind"
_SHOWN = 8
_LEAST = 6
"""Scored trials of an adapter before shares of variance say anything."""


@dataclass(frozen=True)
class Case:
    """One meeting of the panel. Everything is as of the journal's last event."""

    study: Study
    folder: Path
    """The study's."""
    trials: tuple[str, ...]
    """Under discussion, oldest first; all have ended."""

    @cached_property
    def facts(self) -> Sequence[TrialFacts]:
        """Of all ended trials, in order."""
        return ended_trials(self.study)

    @cached_property
    def by_id(self) -> Mapping[str, TrialFacts]:
        return {one.id: one for one in self.facts}

    @cached_property
    def grades(self) -> Mapping[str, Grade]:
        return {one.trial: one for one in grades(self.study)}

    @cached_property
    def eps(self) -> float | None:
        """What two scores have to differ by to be told apart."""
        known = [one.eps for one in self.grades.values() if one.eps is not None]
        return noise(self.study) or (known[-1] if known else None)

    @property
    def shown(self) -> tuple[str, ...]:
        """The newest of those under discussion, as many as a prompt tells of one by one."""
        return self.trials[-_SHOWN:]

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return self.study.task.metric.sign if self.study.task is not None else 1.0

    @cached_property
    def ranked(self) -> Sequence[TrialFacts]:
        """Those with a score, the best first; of equals the earlier."""
        scored = [one for one in self.facts if one.score is not None]
        return sorted(scored, key=lambda one: -self.sign * (one.score or 0.0))

    @cached_property
    def parent(self) -> str | None:
        """The trial whose recipe experiments start from: the incumbent, or while that is the base model the best."""
        if self.study.incumbent in self.by_id:
            return self.study.incumbent
        best = self.study.best()
        return best.id if best is not None else None

    def levers(self, trial: str) -> Mapping[str, Lever]:
        """What of a trial's recipe is searched: path -> lever."""
        if self.study.plan is None or trial not in self.study.proposals:
            return {}
        try:
            return levers(self.study.plan.space, self.study.recipe_of(trial).recipe)
        except KeyError:  # a reviewer has taken a searched setting out
            return {}

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Searched path of the parent -> share of the score's variance that goes with it, the largest first: Pearson's
        correlation ratio over the parts of its range, among the trials of the same adapter. Nothing for a few trials.

        Cheap enough for every round, unlike the report's importance, which accounts for interactions.
        """
        kind = self.by_id[self.parent].get(_KIND) if self.parent is not None else None
        alike = [one for one in self.ranked if one.get(_KIND) == kind and one.score is not None]
        if self.parent is None or len(alike) < _LEAST:
            return {}
        mean = sum(one.score or 0.0 for one in alike) / len(alike)
        whole = sum(((one.score or 0.0) - mean) ** 2 for one in alike)
        found = {}
        for path, lever in self.levers(self.parent).items():
            groups: dict[Json, list[float]] = {}
            for one in alike:
                groups.setdefault(part(lever, one.get(path)), []).append(one.score or 0.0)
            between = sum(len(own) * (sum(own) / len(own) - mean) ** 2 for own in groups.values())
            found[path] = between / whole if whole and len(groups) > 1 else 0.0
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def lever(self, trial: str, endings: tuple[str, ...]) -> Lever | None:
        """The setting whose path ends so, of the last stage that has one."""
        found = [one for path, one in self.levers(trial).items() if path.endswith(endings)]
        return found[-1] if found else None

    def newest(self, *troubles: str) -> str | None:
        """The newest trial under discussion that has one of these troubles."""
        return next((t for t in reversed(self.trials) if set(troubles) & set(self.grades[t].troubles)), None)

    def gain(self, one: TrialFacts, other: TrialFacts) -> float | None:
        """How much better ``one`` is, in the metric's good direction."""
        return None if one.score is None or other.score is None else self.sign * (one.score - other.score)

    def apart(self, one: str, other: str) -> dict[str, tuple[Json, Json]]:
        """Searched settings in which two trials differ: path -> (its value, the other's)."""
        mine, theirs = self.by_id[one], self.by_id[other]
        paths = dict.fromkeys((*mine.searched, *theirs.searched))
        return {path: (mine.get(path), theirs.get(path)) for path in paths if mine.get(path) != theirs.get(path)}

    def cite(self, trials: Iterable[str], *quantities: str) -> tuple[Evidence, ...]:
        """What the journal has of these, as evidence."""
        return tuple(
            Evidence(trial=id, quantity=quantity, value=said)
            for id in trials
            for quantity in quantities
            if (said := _said(self.by_id[id].get(quantity))) is not None
        )

    def items(self, job: str) -> list[Item]:
        """The scored rows that a job has left; none where there are none."""
        from tunewright.agents.judging import read_items

        try:
            return read_items(self.folder, job)
        except DataError:
            return []


def _said(value: Json) -> float | str | None:
    if value is None:
        return None
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)
