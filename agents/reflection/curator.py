"""The curator: what is kept of what was learned, and what a trial says of it. Only adds; nothing is ever rewritten.

Lessons are itemised and have counters as in ACE (arXiv 2510.04618), where only adding is implemented, since a playbook
that a model rewrites collapses. Counters and dropping are ExpeL's (2308.10144): a lesson begins with 2, a trial that
followed it adds one to what helped or harmed, and it is dropped when both are the same. Near-duplicates are not added
from a cosine of 0.90 on, ACE's number; its sentences are embedded, ours are words and pairs of words by TF-IDF.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tunewright.agents.outcome_facts import trial_facts
from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.check import verify
from tunewright.agents.reflection.holding import Newcomer, contradicts
from tunewright.agents.reflection.rules import KIND
from tunewright.domain import event as ev
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Lesson
from tunewright.domain.study import Study

ALIKE = 0.90
_CLOSE = 1.5
"""Numbers of two checks that are within this factor are the same to a reader."""
_SIZES = ((0.3e9, "small"), (3e9, "medium"))


def weighed(case: Case) -> list[ev.Weighed]:
    """What the trials under discussion say of lessons that were known before they ended, each once."""
    found: list[ev.Weighed] = []
    for trial in case.trials:
        found += [*_credited(case, trial), *_contradicted(case, trial)]
    return [one for one in found if (one.lesson, one.trial, one.tag) not in case.study.insights.weighed]


def _credited(case: Case, trial: str) -> Iterable[ev.Weighed]:
    """A gain or a loss beyond noise is credited to the lessons that the proposal cites."""
    study, grade = case.study, case.grades[trial]
    if study.recipe_of(trial).idea.origin == "reviewer" or not (grade.gained or grade.lost):
        return
    for id in dict.fromkeys(study.proposals[trial].idea.cites):
        if id in study.insights.memory:
            tag = "helpful" if grade.gained else "harmful"
            yield ev.Weighed(lesson=id, trial=trial, tag=tag, why=f"it followed the lesson: {grade.says(cost=False)}")


def _contradicted(case: Case, trial: str) -> Iterable[ev.Weighed]:
    study, place = case.study, [one.id for one in case.facts].index(trial)
    assert study.task is not None
    new = Newcomer(
        facts=case.by_id[trial],
        grade=case.grades[trial],
        before=[one for one in case.facts[:place] if one.id not in case.trials[case.trials.index(trial) :]],
        metric=study.task.metric,
        default=study.default,
    )
    for one in study.insights.standing:
        why = contradicts(new, one.lesson)
        if why:
            yield ev.Weighed(lesson=one.id, trial=trial, tag="contradicted", why=why)


def learned(study: Study, lessons: Iterable[Lesson]) -> tuple[list[Lesson], list[str]]:
    """Those worth keeping, with their study and tags; and why others were dropped, but for what is known already."""
    kept: list[Lesson] = []
    wrong: list[str] = []
    known = [one.lesson for one in study.insights.memory.values()]
    for lesson in lessons:
        problems = verify(lesson, study)
        if problems:
            wrong.append(problems[0])
        elif duplicate(lesson, [*known, *kept]) is None:
            kept.append(signed(study, lesson))
    return kept, wrong


def signed(study: Study, lesson: Lesson) -> Lesson:
    """The lesson with where it is from and what it is of use for."""
    cited = (trial_facts(study, study.jobs[one]).get(KIND) for one in lesson.supporting)
    kinds = dict.fromkeys(f"adapter:{kind}" for kind in cited if kind is not None)
    tags = dict.fromkeys((*lesson.tags, *tags_of(study), *kinds))
    return lesson.model_copy(update={"study": study.name, "tags": tuple(tags)})


def tags_of(study: Study) -> list[str]:
    """What a lesson of this study is of use for, as tags: ``format:label``, ``metric:accuracy``, ``model:smollm2``."""
    found = []
    if study.task is not None:
        family = re.split(r"[-_.\d]*\d|[-_]", study.task.model.rstrip("/").rsplit("/", 1)[-1].lower())[0]
        found = [f"format:{study.task.format}", f"metric:{study.task.metric.name}", f"model:{family or 'other'}"]
    if study.model is not None:
        size = next((word for most, word in _SIZES if study.model.parameters < most), "large")
        found.append(f"size:{size}")
    return found


def duplicate(lesson: Lesson, known: Sequence[Lesson]) -> Lesson | None:
    """A known lesson that says the same, numbers and trials aside; None if there is none."""
    words: list[Lesson] = []
    for one in known:
        if lesson.check is not None and one.check is not None:
            if lesson.check.rule == one.check.rule and _close(lesson.check.about, one.check.about):
                return one
        else:
            words.append(one)
    near = _cosines([lesson.claim, *(one.claim for one in words)]) if words else []
    best = max(range(len(words)), key=lambda at: near[at], default=None)
    return words[best] if best is not None and near[best] >= ALIKE else None


def _close(one: Json, other: Json) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    if not numbers or min(one, other) <= 0:
        return bool(one == other)
    return bool(max(one, other) / min(one, other) < _CLOSE)


def _cosines(claims: Sequence[str]) -> list[float]:
    """Of the first with each of the others. Pairs of words count as words: what beats what is in their order."""
    from tunewright.agents.context.passage import Passage
    from tunewright.agents.context.vectors import vectors

    def passage(at: int, claim: str) -> Passage:
        words = re.findall(r"[^\W\d_]+", claim.lower())
        text = " ".join([*words, *(a + b for a, b in pairwise(words))])
        return Passage(str(at), "lesson", (at,), lambda: text)

    rows = vectors([passage(at, claim) for at, claim in enumerate(claims)]).rows
    return [float(one) for one in rows[1:] @ rows[0]]
