"""The judge: of what the members found, at most one lesson and one next experiment that a result can refute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, model_validator

from tunewright.agents.context.told import with_history
from tunewright.agents.prompt import concerning
from tunewright.agents.reflection.answers import JudgeAnswer
from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.critics.cost import ROLE as CHEAPER
from tunewright.agents.reflection.experiments import experiment, fits, from_lessons
from tunewright.agents.reflection.reflector import lesson_of, noise_words
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.finding import Finding
from tunewright.domain.frozen import Json
from tunewright.domain.lesson import Lesson
from tunewright.domain.path import label
from tunewright.domain.proposal import Idea, Refutation
from tunewright.domain.protocols import Brain
from tunewright.tools.analysis.words import number_words

ROLE = "judge"


@dataclass(frozen=True)
class Ruling:
    """What the judge makes of the findings."""

    lesson: Lesson | None = None
    """Yet to be checked and signed by the curator."""
    experiment: Idea | None = None


def by_rules(case: Case, findings: Sequence[Finding]) -> Ruling:
    """The weightiest finding that has a lesson, and the weightiest whose change is a recipe worth a run.

    Findings with one cause add up: two sides that come to the same are surer than either.
    """
    ranked = sorted(findings, key=lambda one: (-_weight(one, findings), one.round, one.by))
    lesson = next((one.lesson for one in ranked if one.lesson is not None), None)
    made = next((idea for one in ranked if (idea := _experiment(case, one)) is not None), None)
    if made is None and case.parent is not None:
        made = from_lessons(case.study, case.parent)
    return Ruling(lesson, made)


def by_model(case: Case, findings: Sequence[Finding], brain: Brain, warn: Callable[[str], None]) -> Ruling | None:
    """A language model's ruling; None where it has no valid answer. Its experiment has to fit the space.

    Its lesson is yet to be checked, as any.
    """
    parent = case.parent

    class Checked(JudgeAnswer):
        model_config = ConfigDict(title="JudgeAnswer")

        @model_validator(mode="after")
        def _fits_the_space(self) -> Checked:
            one = self.experiment
            if one is not None:
                edits: dict[str, Json] = {edit.path: edit.value for edit in one.edits}
                wrong = fits(case.study, one.parent or parent or "", edits)
                if one.refuted_if.quantity == "gain" and one.refuted_if.trial is None:
                    wrong.append("gain needs a trial to compare with")
                if one.refuted_if.trial is not None and one.refuted_if.trial not in case.study.jobs:
                    wrong.append(f"there is no trial '{one.refuted_if.trial}' to compare with")
                if wrong:
                    raise ValueError("; ".join(wrong))
            return self

    try:
        prompt = concerning(judge_prompt(case, findings), *case.trials)
        answer = brain.structured(ROLE, prompt, Checked)
    except (BrainError, BudgetError) as error:
        warn(f"no ruling from {brain.name}: {error.message}")
        return None
    made = None
    if answer.experiment is not None:
        one = answer.experiment
        made = experiment(
            case.study,
            one.parent or parent or "",
            {edit.path: edit.value for edit in one.edits},
            one.hypothesis.rstrip("."),
            refuted_if=Refutation.model_validate(one.refuted_if.model_dump()),
        )
    return Ruling(lesson_of(answer.lesson, brain.name) if answer.lesson is not None else None, made)


def judge_prompt(case: Case, findings: Sequence[Finding]) -> str:
    """The question to a language model, of at most ``told.PROMPT_TOKENS`` tokens."""
    space = case.study.plan.space if case.study.plan is not None else None
    return with_history(
        "judge",
        case.study,
        query=[*case.trials, *([case.parent] if case.parent is not None else [])],
        task=case.study.task,
        noise=noise_words(case),
        incumbent=case.parent or "none",
        graded=[f"grade of {trial}: {case.grades[trial].says(cost=False)}" for trial in case.shown],
        findings=[{"by": one.by, "says": one.says, "cause": one.cause, "edits": one.edits} for one in findings],
        space=[f"{one.path}: {one.says()}" for one in space.dimensions] if space is not None else [],
    )


def _weight(finding: Finding, findings: Sequence[Finding]) -> float:
    """A finding's own, and half of every other member's with the same cause."""
    same = [one for one in findings if finding.cause and one.cause == finding.cause and one.by != finding.by]
    return finding.weight + 0.5 * sum(one.weight for one in same)


def _experiment(case: Case, finding: Finding) -> Idea | None:
    parent = finding.parent or case.parent
    if not finding.edits or parent is None or finding.weight <= 0:
        return None
    if finding.by != CHEAPER or case.eps is None or case.by_id[parent].score is None:
        return experiment(case.study, parent, finding.edits, _claim(case, finding, parent))
    as_well = Refutation(quantity="gain", relation="<", value=-case.eps, trial=parent)
    return experiment(case.study, parent, finding.edits, _claim(case, finding, parent), refuted_if=as_well)


def _claim(case: Case, finding: Finding, parent: str) -> str:
    edits: Mapping[str, Json] = finding.edits
    levers = case.levers(parent)
    said = " and ".join(
        f"{label(path)} {number_words(value)}"
        + (f" in the place of {number_words(levers[path].value)}" if path in levers else "")
        for path, value in edits.items()
    )
    does = "costs less and does as well" if finding.by == CHEAPER else "does better"
    return f"{parent} with {said} {does} ({finding.by.removeprefix('critic.')}: {finding.cause or 'next'})"
