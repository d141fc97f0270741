"""The counterfactual critic: what would it have been with one setting as elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from tunewright.agents.outcome_facts import TrialFacts
from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.critics.critic import Critic
from tunewright.agents.reflection.levers import Lever, part
from tunewright.agents.reflection.rules import KIND
from tunewright.domain.finding import Finding
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Check, Lesson
from tunewright.domain.path import label
from tunewright.tools.analysis.words import number_words

ROLE = "critic.counterfactual"
_FEW = 2
"""Trials of a value before it is held against another."""


def find(case: Case) -> Finding | None:
    """A pair that differs in one setting, else the setting that did best elsewhere, carried over to the incumbent."""
    return _pair(case) or _elsewhere(case)


def facts(case: Case) -> list[str]:
    """For each trial those most like it, and what sets them apart."""
    found = []
    for trial in case.shown:
        near = sorted((one for one in case.ranked if one.id != trial), key=lambda one: len(case.apart(trial, one.id)))
        for one in near[:2]:
            pairs = case.apart(trial, one.id).items()
            apart = ", ".join(f"{path} {number_words(a)} against {number_words(b)}" for path, (a, b) in pairs)
            score = case.by_id[trial].score
            said = "no score" if score is None else f"{score:.3f}"
            found.append(f"{trial} ({said}) against {one.id} ({one.score:.3f}): {apart or 'no searched setting'}")
    return found or ["there is no other trial to hold these against"]


def _pair(case: Case) -> Finding | None:
    """The newest trial under discussion that differs from another in one setting, and in score by more than noise."""
    for trial in reversed(case.trials):
        mine = case.by_id[trial]
        for other in case.ranked:
            apart = case.apart(trial, other.id) if other.id != trial else {}
            gain = case.gain(mine, other)
            if len(apart) == 1 and gain is not None and case.eps is not None and abs(gain) > case.eps:
                return _told(case, (mine, other) if gain > 0 else (other, mine), next(iter(apart)), abs(gain))
    return None


def _told(case: Case, pair: tuple[TrialFacts, TrialFacts], path: str, gain: float) -> Finding:
    """What a better and a worse trial say of the one setting in which they differ."""
    good, bad = pair
    value, instead = good.get(path), bad.get(path)
    claim = (
        f"{label(path)} {_plain(value)} does better than {_plain(instead)}, all else the same: "
        f"{good.score or 0:.3f} ({good.id}) against {bad.score or 0:.3f} ({bad.id})"
    )
    evidence = case.cite((good.id, bad.id), path, "score")
    lever = case.levers(case.parent).get(path) if case.parent is not None else None
    carried = lever is not None and lever.value != value and lever.dimension.holds(value)
    return Finding(
        by=ROLE,
        trials=(good.id, bad.id),
        says=f"{claim}, {gain:.3f} apart",
        cause=f"{label(path)} {_plain(instead)}",
        evidence=evidence,
        weight=0.75,
        edits={path: value} if carried else {},
        lesson=Lesson(
            claim=claim,
            evidence=evidence,
            supporting=(good.id, bad.id),
            confidence=0.5,
            check=Check(rule="setting", about={"path": path, "value": value, "instead": instead}),
            advice={path: value},
        ),
    )


def _elsewhere(case: Case) -> Finding | None:
    """The setting of the incumbent whose value did worst against one that other branches have."""
    if case.parent is None or len(case.ranked) < 2 * _FEW:
        return None
    found = [one for lever in case.levers(case.parent).values() if (one := _better_value(case, lever)) is not None]
    if not found:
        return None
    advantage, lever, best, edits = max(found, key=lambda one: (one[0], one[1].path))
    value = edits[lever.path]
    return Finding(
        by=ROLE,
        trials=(best.id, case.parent),
        says=f"trials with {label(lever.path)} near {_plain(value)} reached {advantage:.3f} more on average than those "
        f"near {_plain(lever.value)}, which the best trial ({case.parent}) has; {best.id} is the best of them",
        cause=f"{label(lever.path)} {_plain(lever.value)}",
        evidence=case.cite((best.id, case.parent), lever.path, "score"),
        weight=0.5,
        edits=edits,
    )


def _better_value(case: Case, lever: Lever) -> tuple[float, Lever, TrialFacts, dict[str, Json]] | None:
    """How much better the best other value of a setting did than the incumbent's, who had it, and the edit."""
    groups: dict[Json, list[TrialFacts]] = {}
    kind = case.by_id[case.parent or ""].get(KIND)
    for one in case.ranked:
        # A rate or a rank of another adapter says nothing of this one's.
        if one.get(lever.path) is not None and (lever.path == KIND or one.get(KIND) == kind):
            groups.setdefault(part(lever, one.get(lever.path)), []).append(one)
    own = groups.pop(part(lever, lever.value), [])
    enough = {value: ones for value, ones in groups.items() if len(ones) >= _FEW}
    if len(own) < _FEW or not enough:
        return None
    best_part = max(enough, key=lambda one: (case.sign * _mean(enough[one]), str(one)))
    advantage, best = case.sign * (_mean(enough[best_part]) - _mean(own)), enough[best_part][0]
    value = best.get(lever.path)
    if advantage <= 0 or not lever.dimension.holds(value):
        return None
    edits = {lever.path: value}
    if lever.path == KIND:  # its own rate comes with it
        theirs = case.levers(best.id)
        edits |= {path: one.value for path, one in theirs.items() if path.endswith(".optimisation.lr")}
    return advantage, lever, best, edits


def _mean(ones: Sequence[TrialFacts]) -> float:
    return mean(one.score for one in ones if one.score is not None)


def _plain(value: Json) -> str:
    return number_words(value)


CRITIC = Critic(ROLE, "critic_counterfactual", find, facts)
