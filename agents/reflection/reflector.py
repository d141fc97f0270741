"""The reflector: what each trial's outcome says, why, and whether the lessons that it followed were of use.

The fields of a model's answer are ACE's (arXiv 2510.04618): reasoning, what went wrong, root cause, key insight, a tag
for each lesson that was used. What it says of an outcome is held against the grade, and every number and id in it
against the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tunewright.agents.context.told import with_history
from tunewright.agents.prompt import concerning
from tunewright.agents.reflection.answers import ReflectionAnswer
from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.check import unfounded
from tunewright.agents.reflection.grade import Grade
from tunewright.agents.schemas import EvidenceAnswer, LessonAnswer
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.finding import Finding
from tunewright.domain.lesson import Evidence, Lesson, Tag
from tunewright.domain.path import label
from tunewright.domain.protocols import Brain
from tunewright.tools.analysis.words import number_words

ROLE = "reflection"
EVERY = 3
"""Ended trials between two questions to a language model."""
_MOST_APART = 4
"""Settings that are told of what sets a trial apart."""
_CAUSES: Mapping[str, str] = {
    "diverged": "learning rate too high",
    "memory": "does not fit into memory",
    "overfitted": "too many passes",
    "rising": "too few passes",
}


def due(case: Case) -> bool:
    """Whether a language model is asked about these: every few trials."""
    ended = len(case.facts)
    return ended // EVERY > (ended - len(case.trials)) // EVERY


def by_rules(case: Case) -> Finding:
    """What the grade says, and what sets the newest trial apart from what it was derived from or held against."""
    trial = case.trials[-1]
    grade, tags = case.grades[trial], _tags(case)
    other = _other(case, trial, grade)
    apart = case.apart(trial, other) if other is not None else {}
    said = ", ".join(
        f"{label(path)} {number_words(mine)} instead of {number_words(theirs)}"
        for path, (mine, theirs) in [pair for pair in apart.items() if None not in pair[1]][:_MOST_APART]
    )
    differs = f"; against {other}: {said}" if said else ""
    more = f" (and {len(case.trials) - 1} more)" if len(case.trials) > 1 else ""
    return Finding(
        by="reflector",
        trials=case.trials,
        says=f"{trial}{more}: {grade.says(cost=False)}{differs}",
        cause=_cause(grade, list(apart)),
        evidence=case.cite((trial,), "score", "fault"),
        tags=tags,
    )


def by_model(case: Case, brain: Brain, warn: Callable[[str], None]) -> Finding | None:
    """What a language model says; None where it has no valid answer, or says a number that the journal does not."""
    try:
        prompt = concerning(reflection_prompt(case), *case.trials)
        answer = brain.structured(ROLE, prompt, ReflectionAnswer)
    except (BrainError, BudgetError) as error:
        warn(f"no reflection from {brain.name}: {error.message}")
        return None
    evidence = evidence_of(answer.evidence)
    wrong = unfounded((answer.key_insight, answer.went_wrong), evidence, case.study)
    if wrong:
        warn(f"a reflection of {brain.name} was dropped: {wrong[0]}")
        return None
    cited = {id for trial in case.trials for id in case.study.proposals[trial].idea.cites}
    trial = case.trials[-1]
    return Finding(
        by="reflector",
        model=brain.name,
        trials=case.trials,
        says=" ".join(part for part in (answer.key_insight, answer.went_wrong) if part),
        cause=answer.root_cause,
        evidence=evidence,
        weight=0.5 if answer.outcome == outcome_of(case.grades[trial]) else 0.0,
        tags={one.lesson: one.tag for one in answer.tags if one.lesson in cited},
        lesson=lesson_of(answer.lesson, brain.name) if answer.lesson is not None else None,
    )


def disagrees(case: Case, finding: Finding) -> str:
    """How a reflection and the grade differ; nothing where they agree."""
    trial = case.trials[-1]
    if finding.model != "rules" and finding.weight == 0.0:
        return f"{finding.model} takes {trial} for something else than its grade: {outcome_of(case.grades[trial])}"
    tags = _tags(case)
    for id, tag in finding.tags.items():
        if {tag, tags.get(id)} == {"helpful", "harmful"}:
            return f"{finding.model} calls {id} {tag}, and what followed it was the opposite"
    return ""


def outcome_of(grade: Grade) -> str:
    """The word of the answer's form for a grade."""
    return "gain" if grade.gained else "loss" if grade.lost else "no difference"


def reflection_prompt(case: Case) -> str:
    """The question to a language model, of at most ``told.PROMPT_TOKENS`` tokens."""
    followed = dict.fromkeys(id for trial in case.shown for id in case.study.proposals[trial].idea.cites)
    return with_history(
        "reflect",
        case.study,
        query=list(case.shown),
        task=case.study.task,
        noise=noise_words(case),
        graded=[f"grade of {trial}: {case.grades[trial].says(cost=False)}" for trial in case.shown],
        changes=[line for trial in case.shown if (line := _change(case, trial))],
        followed=[f"{id}: {one.lesson.claim}" for id in followed if (one := case.study.insights.memory.get(id))],
    )


def noise_words(case: Case) -> str:
    """What two scores have to differ by, for a prompt."""
    return "an amount not known yet" if case.eps is None else f"{case.eps:.3f}"


def evidence_of(answers: Iterable[EvidenceAnswer]) -> tuple[Evidence, ...]:
    """What a model cites, as evidence that is yet to be checked."""
    return tuple(Evidence(trial=one.trial, quantity=one.quantity, value=one.value) for one in answers)


def lesson_of(answer: LessonAnswer, by: str) -> Lesson:
    """A model's lesson, yet to be checked. One trial is an anecdote, however sure the model is."""
    sure = answer.confidence if len(answer.supporting) > 1 else min(answer.confidence, 0.5)
    return Lesson(
        claim=answer.claim,
        conditions=tuple(answer.conditions),
        evidence=evidence_of(answer.evidence),
        supporting=tuple(dict.fromkeys(answer.supporting)),
        contradicting=tuple(dict.fromkeys(answer.contradicting)),
        confidence=sure,
        by=by,
    )


def _tags(case: Case) -> dict[str, Tag]:
    """What outcomes say of the lessons that the trials followed; the newest trial's word counts."""
    found: dict[str, Tag] = {}
    for trial in case.trials:
        grade = case.grades[trial]
        tag: Tag = "helpful" if grade.gained else "harmful" if grade.lost else "neutral"
        found |= dict.fromkeys(case.study.proposals[trial].idea.cites, tag)
    return found


def _other(case: Case, trial: str, grade: Grade) -> str | None:
    parent = case.study.recipe_of(trial).idea.parent
    return next(
        (one for one in (parent, grade.against, case.study.default) if one in case.by_id and one != trial), None
    )


def _cause(grade: Grade, apart: Sequence[str]) -> str:
    known = _CAUSES.get(grade.trouble or "")
    if known is not None:
        return known
    return label(apart[0]) if len(apart) == 1 and grade.trouble is not None else ""


def _change(case: Case, trial: str) -> str:
    """What sets a trial apart from its parent, as ``t3 against t1: PATH A instead of B``."""
    other = _other(case, trial, case.grades[trial])
    apart = case.apart(trial, other) if other is not None else {}
    said = ", ".join(f"{path} {number_words(a)} instead of {number_words(b)}" for path, (a, b) in apart.items())
    return f"{trial} against {other}: {said}" if said else ""
