"""What a study learned, for its report: lessons as they stand, what the panel found, what became of its experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.domain.finding import Finding, standing
from tunewright.domain.learning import Reflected
from tunewright.domain.lesson import Remembered
from tunewright.domain.path import label
from tunewright.domain.study import Study
from tunewright.tools.analysis.words import number_words

_MOST = 12
"""Meetings of the panel that are told, the newest."""


@dataclass(frozen=True)
class LessonRow:
    """One lesson."""

    id: str
    claim: str
    source: str
    """The study that it is from, and who said it."""
    counters: str
    """Such as ``3:1``; ``dropped`` where it is not followed any more."""
    confidence: str
    evidence: str


@dataclass(frozen=True)
class Meeting:
    """One time that critics were asked."""

    why: str
    findings: tuple[tuple[str, str], ...]
    """Who, and what it found."""
    experiment: str
    outcome: str
    """What became of the experiment, as far as it is known."""


def lesson_rows(study: Study) -> list[LessonRow]:
    """Recalled lessons first, then the study's own, in the order in which they were learned."""
    return [_row(study, one) for one in study.insights.memory.values()]


def meetings(study: Study) -> list[Meeting]:
    """Those at which critics were asked, the newest last."""
    return [_meeting(study, one) for one in study.insights.reflections if one.asked][-_MOST:]


def explanation(study: Study, trial: str) -> str:
    """Where a trial's gain or loss came from, without the verdict itself; nothing where that is not known."""
    one = study.insights.explained.get(trial)
    if one is None:
        return ""
    said = " ".join(sentence.says for sentence in one.sentences if sentence.cites != ("f1",))
    return f"{said} ({one.by})" if said and one.by != "rules" else said


def _row(study: Study, one: Remembered) -> LessonRow:
    lesson, recalled = one.lesson, one.likeness is not None
    where = f"{lesson.study}, alike to {one.likeness:.2f}" if recalled else "this study"
    cited = ", ".join(f"{fact.trial} {label(fact.quantity)} {number_words(fact.value)}" for fact in lesson.evidence)
    against = f"; against it {', '.join(lesson.contradicting)}" if lesson.contradicting else ""
    seen = f"; seen with {', '.join(lesson.conditions)}" if lesson.conditions else ""
    return LessonRow(
        id=one.id,
        claim=lesson.claim,
        source=f"{where}; {lesson.by}",
        counters=f"{one.helpful}:{one.harmful}" + (", dropped" if one.dropped else ""),
        confidence=f"{one.confidence:.2f}" + (f" ({one.contradicted} against)" if one.contradicted else ""),
        evidence=f"for it {', '.join(lesson.supporting)}{against}: {cited}{seen}",
    )


def _meeting(study: Study, one: Reflected) -> Meeting:
    said = [(_who(finding), finding.says) for finding in _told(standing(one.findings))]
    made = one.experiment
    return Meeting(one.asked, tuple(said), made.reason if made is not None else "", _outcome(study, one))


def _told(findings: Sequence[Finding]) -> list[Finding]:
    """Critics' findings, and a language model's reflection; the rules' only says the grade again."""
    return [one for one in findings if one.by.startswith("critic") or one.model != "rules"]


def _who(finding: Finding) -> str:
    by = finding.by.removeprefix("critic.")
    return by if finding.model == "rules" else f"{by} ({finding.model}, round {finding.round})"


def _outcome(study: Study, one: Reflected) -> str:
    if one.experiment is None:
        return ""
    wanted = one.experiment.recipe.fingerprint
    trial = next((id for id, proposal in study.proposals.items() if proposal.recipe.fingerprint == wanted), None)
    if trial is None:
        return "not proposed"
    job = study.jobs.get(trial)
    if job is None or not job.ended:
        return f"proposed as {trial}"
    judged = next((verdict.says() for verdict in reversed(study.verdicts) if verdict.trial == trial), "")
    return f"run as {trial}: {judged or getattr(job.outcome, 'status', '')}"
