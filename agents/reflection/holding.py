"""Does a later trial speak against a lesson: for each kind of claim that rules make, a test that code can do.

What no test is known for is left to the counters. A trial of another study counts as any other, since a recalled lesson
claims to hold here too; where the claim compares, it is held against this study's own trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunewright.agents.outcome_facts import TrialFacts
from tunewright.agents.reflection.grade import Grade
from tunewright.agents.reflection.rules import BATCH, KIND, LR
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Lesson
from tunewright.domain.outcome import Answer
from tunewright.domain.task import Metric


@dataclass(frozen=True)
class Newcomer:
    """A trial that has just ended, and those that had ended before it."""

    facts: TrialFacts
    grade: Grade
    before: Sequence[TrialFacts]
    metric: Metric
    default: str | None

    @property
    def held(self) -> bool:
        """Whether it trained to a score that is no ruin."""
        return self.facts.score is not None and not {"below base", "diverged"} & set(self.grade.troubles)

    def beats(self, other: TrialFacts) -> bool:
        """By more than noise."""
        return self._beyond(other, "better", 1)

    def behind(self, other: TrialFacts) -> bool:
        """By more than noise."""
        return self._beyond(other, "worse", -1)

    def compares(self, other: TrialFacts) -> bool:
        """Whether anybody can tell."""
        return None not in (self.facts.score, other.score, self.grade.eps)

    def _beyond(self, other: TrialFacts, answer: Answer, sign: int) -> bool:
        if self.grade.answer is not None and self.grade.against == other.id:
            return self.grade.answer == answer
        mine, theirs, eps = self.facts.score, other.score, self.grade.eps
        if mine is None or theirs is None or eps is None:
            return False
        return sign * self.metric.gain(mine, theirs) > eps

    def best(self, kind: Json) -> TrialFacts | None:
        """The best earlier trial of an adapter."""
        scored = [one for one in self.before if one.get(KIND) == kind and one.score is not None]
        return max(scored, key=lambda one: self.metric.sign * (one.score or 0.0), default=None)


def contradicts(new: Newcomer, lesson: Lesson) -> str:
    """Why the trial speaks against the lesson, in a few words; nothing where it does not, or where nobody can tell.

    Args:
        lesson: learned before the trial ended.
    """
    test = _TESTS.get(lesson.check.rule) if lesson.check is not None else None
    return test(new, lesson.check.about) if test is not None and lesson.check is not None else ""


def _beats(new: Newcomer, about: Mapping[str, Json]) -> str:
    """One of the other adapter that is not behind the best by more than noise: best against best, they are alike."""
    best = new.best(about.get("adapter"))
    if new.facts.get(KIND) != about.get("other") or best is None:
        return ""
    if new.beats(best):
        return f"{about['other']} did better than {about['adapter']}'s best ({best.id})"
    alike = new.compares(best) and not new.behind(best)
    return f"{about['other']} is not told apart from {about['adapter']}'s best ({best.id})" if alike else ""


def _alike(new: Newcomer, about: Mapping[str, Json]) -> str:
    pair = {about.get("adapter"), about.get("other")}
    kind = new.facts.get(KIND)
    others = [best for other in pair - {kind} if kind in pair and (best := new.best(other)) is not None]
    return next((f"{kind} beats {best.get(KIND)}'s best ({best.id})" for best in others if new.beats(best)), "")


def _default_stands(new: Newcomer, about: Mapping[str, Json]) -> str:
    default = next((one for one in new.before if one.id == new.default), None)
    return "it beats the default" if default is not None and new.beats(default) else ""


def _too_hot(new: Newcomer, about: Mapping[str, Json]) -> str:
    same = new.facts.get(KIND) == about.get("adapter")
    return "it held at such a rate" if same and new.held and _at_least(new, LR, about.get("lr")) else ""


def _memory(new: Newcomer, about: Mapping[str, Json]) -> str:
    same = new.facts.get(KIND) == about.get("adapter")
    fits = new.facts.score is not None and _at_least(new, BATCH, about.get("batch"))
    return "it fits into memory" if same and fits else ""


def _rank_flat(new: Newcomer, about: Mapping[str, Json]) -> str:
    """One that differs from an earlier trial in its rank alone, and from its score by more than noise."""
    if new.facts.get(KIND) != about.get("adapter"):
        return ""
    for other in new.before:
        path = only_difference(new.facts, other)
        if path is not None and path.endswith(".adapter.r") and _apart(new, other):
            return f"it differs from {other.id} in rank alone, and in score"
    return ""


def _overfits(new: Newcomer, about: Mapping[str, Json]) -> str:
    """As many passes or more, rungs on the way, and no better rung than the end."""
    same = new.facts.get(KIND) == about.get("adapter")
    long = _at_least(new, str(about.get("path")), about.get("value"))
    looked = any(name.startswith("rung.") for name in new.facts.measured)
    well = new.held and "overfitted" not in new.grade.troubles
    return "it did not overfit" if same and long and looked and well else ""


def _setting(new: Newcomer, about: Mapping[str, Json]) -> str:
    """A pair that differs in this setting alone and says the opposite."""
    path, value, instead = str(about.get("path")), about.get("value"), about.get("instead")
    mine = new.facts.get(path)
    for other in new.before:
        if only_difference(new.facts, other) != path or {str(mine), str(other.get(path))} != {str(value), str(instead)}:
            continue
        worse = mine == value and new.behind(other)
        better = mine == instead and new.beats(other)
        if worse or better:
            return f"the other way round from {other.id}"
    return ""


def only_difference(one: TrialFacts, other: TrialFacts) -> str | None:
    """The one searched setting in which two trials differ; None if there is none, or more than one."""
    paths = dict.fromkeys((*one.searched, *other.searched))
    apart = [path for path in paths if one.get(path) != other.get(path)]
    return apart[0] if len(apart) == 1 else None


def _apart(new: Newcomer, other: TrialFacts) -> bool:
    return new.beats(other) or new.behind(other)


def _at_least(new: Newcomer, path: str, value: Json) -> bool:
    mine = new.facts.get(path)
    return isinstance(mine, int | float) and isinstance(value, int | float) and mine >= value


_TESTS: Mapping[str, Callable[[Newcomer, Mapping[str, Json]], str]] = {
    "beats": _beats,
    "alike": _alike,
    "default stands": _default_stands,
    "too hot": _too_hot,
    "memory": _memory,
    "rank flat": _rank_flat,
    "overfits": _overfits,
    "setting": _setting,
}
