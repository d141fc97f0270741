"""Does a lesson hold: every trial it names has ended, and every number it names is the journal's own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import combinations

from tunewright.agents.outcome_facts import TrialFacts, trial_facts
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Evidence, Lesson
from tunewright.domain.study import Study

_TRIAL = re.compile(r"(?<![\w-])(t\d+|confirm-\d+)(?![\w-])")
_NUMBER = re.compile(r"(?<![\w.-])[ra]?(-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)(?:[ ]?(%))?(?![\w-]|\.\d)", re.IGNORECASE)


def verify(lesson: Lesson, study: Study) -> list[str]:
    """Why the lesson does not hold, one line each; empty if code can bear it out."""
    cited = {evidence.trial for evidence in lesson.evidence}
    named = cited | set(lesson.supporting) | set(lesson.contradicting)
    facts = {job: trial_facts(study, study.jobs[job]) for job in named if job in study.jobs and study.jobs[job].ended}
    wrong = [f"there is no trial '{job}' that has ended" for job in sorted(named - facts.keys())]
    wrong += [problem for evidence in lesson.evidence if (problem := _evidence(evidence, facts))]
    wrong += _sides(lesson, cited)
    wrong += [f"the claim names {job}, which is not cited" for job in _TRIAL.findall(lesson.claim) if job not in cited]
    if wrong:
        return wrong
    known, settings = _numbers(lesson, facts, study), _settings(lesson, facts)
    for text in (lesson.claim, *lesson.conditions):
        for number, percent in _NUMBER.findall(_TRIAL.sub(" ", text)):
            value = float(number.replace(",", "")) / (100 if percent else 1)
            rounded = any(_same(value, one) or _same(-value, one) for one in known)
            if not rounded and not any(_near(value, one) for one in settings):
                wrong.append(f"the number {number}{percent} is no fact that is cited")
    return wrong


def unfounded(texts: Sequence[str], evidence: tuple[Evidence, ...], study: Study) -> list[str]:
    """Why sentences do not hold that rest on this evidence, as ``verify`` says it; nothing where they name no number
    and no trial.
    """
    said = [text for text in texts if text.strip()]
    if not evidence:
        loose = [number for text in said for number, _ in _NUMBER.findall(_TRIAL.sub(" ", text))]
        loose += [job for text in said for job in _TRIAL.findall(text)]
        return [f"it names {loose[0]} and cites nothing"] if loose else []
    trials = tuple(dict.fromkeys(one.trial for one in evidence))
    return verify(Lesson(claim=" ".join(said) or "-", evidence=evidence, supporting=trials, confidence=0.0), study)


def unsupported(says: str, facts: Sequence[str]) -> list[str]:
    """The numbers and trials of a sentence that stand in none of these facts, one line each."""
    trials = {job for fact in facts for job in _TRIAL.findall(fact)}
    wrong = [f"{job} is in no fact that it cites" for job in _TRIAL.findall(says) if job not in trials]
    known = [value for fact in facts for _, value in _values(fact)]
    return wrong + [
        f"the number {said} is in no fact that it cites"
        for said, value in _values(says)
        if not any(_same(value, one) or _same(-value, one) for one in known)
    ]


def _values(text: str) -> list[tuple[str, float]]:
    return [
        (number + percent, float(number.replace(",", "")) / (100 if percent else 1))
        for number, percent in _NUMBER.findall(_TRIAL.sub(" ", text))
    ]


def _evidence(evidence: Evidence, facts: Mapping[str, TrialFacts]) -> str:
    """Why the evidence is wrong, or nothing."""
    trial = facts.get(evidence.trial)
    if trial is None:
        return ""
    actual = trial.get(evidence.quantity)
    if actual is None:
        return f"{evidence.trial} has no {evidence.quantity}"
    if not _equal(evidence.value, actual, exact=_of_recipe(evidence)):
        return f"{evidence.quantity} of {evidence.trial} is {actual}, not {evidence.value}"
    return ""


def _equal(said: float | str, actual: Json, *, exact: bool) -> bool:
    if _is_number(actual):
        try:
            return (_near if exact else _same)(float(said), float(actual))
        except ValueError:
            return False
    return str(said) == str(actual)


def _sides(lesson: Lesson, cited: set[str]) -> list[str]:
    both = set(lesson.supporting) & set(lesson.contradicting)
    silent = (set(lesson.supporting) | set(lesson.contradicting)) - cited
    return [f"{trial} cannot support and contradict it at once" for trial in sorted(both)] + [
        f"{trial} is counted, and nothing of it is cited" for trial in sorted(silent)
    ]


def _numbers(lesson: Lesson, facts: Mapping[str, TrialFacts], study: Study) -> list[float]:
    """Every number that the lesson may name: cited values, differences of cited scores, counts, the study's size."""
    measured = [one for one in lesson.evidence if not _of_recipe(one)]
    values = [float(one.value) for one in measured if _is_number(one.value)]
    # Strings such as "0.842" were accepted as evidence; the journal's own value stands for them.
    values += [float(v) for one in measured if _is_number(v := facts[one.trial].get(one.quantity))]
    values += [float(step) for one in lesson.evidence if (step := one.quantity.removeprefix("rung.")).isdigit()]
    scores = [score for one in lesson.evidence if (score := facts[one.trial].score) is not None]
    values += [a - b for a, b in combinations(scores, 2)]
    counts = (lesson.supporting, lesson.contradicting, facts, [job for job in study.trials if job.ended])
    values += [float(len(one)) for one in counts] + [float(len(lesson.supporting) + len(lesson.contradicting))]
    if study.data is not None:
        values += [float(split.rows) for split in (study.data.train, study.data.val)]
    if study.profile is not None:
        values += [float(study.profile.rows), float(len(study.profile.labels))]
    if study.base is not None and study.base.score is not None:
        values += [study.base.score, *(score - study.base.score for score in scores)]
    return values


def _settings(lesson: Lesson, facts: Mapping[str, TrialFacts]) -> list[float]:
    """Settings that are cited: a learning rate of 0.0018 is not 0.002, however scores are rounded."""
    cited = (facts[one.trial].get(one.quantity) for one in lesson.evidence if _of_recipe(one))
    return [float(value) for value in cited if _is_number(value)]


def _of_recipe(evidence: Evidence) -> bool:
    return evidence.quantity.startswith("stages")


def _near(said: float, actual: float) -> bool:
    """Equal to two and a half significant digits."""
    return math.isclose(said, actual, rel_tol=0.006)


def _same(said: float, actual: float) -> bool:
    """Equal within rounding: to three decimals, or to two and a half significant digits."""
    return _near(said, actual) or abs(said - actual) <= 0.00051 * (abs(actual) >= 0.001)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
