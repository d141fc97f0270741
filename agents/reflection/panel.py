"""The reflection panel: reads the trials that have ended, and says what is to be kept of them.

Grader and reflector look at every trial. Critics are asked only on trouble (a fault of the recipe, an overfit, three
trials in a row without a gain) or where the reflector disagrees with the grade: a panel costs several answers, and
without an outcome to speak of it repeats itself (MAR, arXiv 2512.20845; 2310.01798). Two rounds at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.agents.context.told import with_history
from tunewright.agents.prompt import concerning
from tunewright.agents.reflection import curator, judge, reflector
from tunewright.agents.reflection.answers import FindingAnswer
from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.check import unfounded
from tunewright.agents.reflection.critics import critics
from tunewright.agents.reflection.critics.critic import Critic
from tunewright.agents.reflection.experiments import fits
from tunewright.agents.reflection.grade import RECIPE_FAULTS
from tunewright.agents.reflection.reflector import evidence_of, noise_words
from tunewright.agents.reflection.rules import by_rules as lessons_by_rules
from tunewright.domain import event as ev
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.finding import Finding
from tunewright.domain.lesson import Lesson
from tunewright.domain.protocols import Brain
from tunewright.domain.study import Study
from tunewright.tools.evaluation.registry import best_value

MOST = 3
"""Lessons that rules add at a time."""
ROUNDS = 2
WITHOUT_GAIN = 3
"""Trials in a row without a gain that are trouble."""


def nobody(role: str) -> Brain | None:
    """No language model for any role."""
    return None


def _silent(message: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Panel:
    """The members of one study.

    Attributes:
        folder: the study's.
        brain: role -> its language model, or None for the rules.
        warn: is told in one line what was of no use.
    """

    folder: Path
    brain: Callable[[str], Brain | None] = nobody
    warn: Callable[[str], None] = _silent

    def meet(self, study: Study, trials: Sequence[str]) -> list[ev.Event]:
        """What is to be recorded of these ended trials, ``Reflected`` last. The study is not changed.

        Raises:
            PauseError: a language model cannot be reached.
        """
        if not trials or study.task is None:
            return [ev.Reflected(trials=tuple(trials))]
        case = Case(study, self.folder, tuple(trials))
        weighed = curator.weighed(case)
        findings = self._reflected(case)
        asked = trouble(case) or next((why for one in findings if (why := reflector.disagrees(case, one))), "")
        rounds, ruling = 0, judge.Ruling()
        if asked:
            found, rounds = self._criticised(case, asked, findings)
            findings += found
            ruling = self._ruled(case, findings)
        lessons = self._lessons(case, findings, ruling)
        reflected = ev.Reflected(
            trials=case.trials,
            findings=tuple(findings),
            asked=asked,
            rounds=rounds,
            experiment=ruling.experiment,
        )
        return [*weighed, *(ev.Learned(lesson=one) for one in lessons), reflected]

    def _reflected(self, case: Case) -> list[Finding]:
        found = [reflector.by_rules(case)]
        brain = self.brain(reflector.ROLE)
        said = reflector.by_model(case, brain, self.warn) if brain is not None and reflector.due(case) else None
        return [*found, said] if said is not None else found

    def _criticised(self, case: Case, asked: str, before: Sequence[Finding]) -> tuple[list[Finding], int]:
        """Everyone's findings, and how many rounds there were: a second where causes differ and a model may yield."""
        found = [finding for one in critics() if (finding := one.find(case)) is not None]
        rounds = 1
        if any(self.brain(one.role) is not None for one in critics()):
            found += self._round(case, asked, [*before, *found], 1)
            if len({one.cause for one in found if one.cause}) > 1:
                rounds = ROUNDS
                found += self._round(case, asked, [*before, *found], ROUNDS)
        return found, rounds

    def _round(self, case: Case, asked: str, others: Sequence[Finding], number: int) -> list[Finding]:
        found = []
        for one in critics():
            brain = self.brain(one.role)
            said = self._asked(case, one, brain, asked, others, number) if brain is not None else None
            found += [said] if said is not None else []
        return found

    def _asked(
        self, case: Case, critic: Critic, brain: Brain, asked: str, others: Sequence[Finding], number: int
    ) -> Finding | None:
        try:
            prompt = concerning(critic_prompt(case, critic, asked, others), *case.trials)
            answer = brain.structured(critic.role, prompt, FindingAnswer)
        except (BrainError, BudgetError) as error:
            self.warn(f"nothing from {brain.name} as {critic.role}: {error.message}")
            return None
        if not answer.found or not answer.says:
            return None
        evidence = evidence_of(answer.evidence)
        wrong = unfounded((answer.says,), evidence, case.study)
        if wrong:
            self.warn(f"a finding of {brain.name} as {critic.role} was dropped: {wrong[0]}")
            return None
        edits = {edit.path: edit.value for edit in answer.edits}
        outside = fits(case.study, case.parent or "", edits) if edits else []
        if outside:
            self.warn(f"a change that {brain.name} as {critic.role} would make was dropped: {outside[0]}")
        return Finding(
            by=critic.role,
            model=brain.name,
            trials=case.trials,
            says=answer.says,
            cause=answer.cause,
            evidence=evidence,
            weight=answer.weight,
            edits={} if outside else edits,
            round=number,
        )

    def _ruled(self, case: Case, findings: Sequence[Finding]) -> judge.Ruling:
        brain = self.brain(judge.ROLE)
        said = judge.by_model(case, findings, brain, self.warn) if brain is not None else None
        return said or judge.by_rules(case, findings)

    def _lessons(self, case: Case, findings: Sequence[Finding], ruling: judge.Ruling) -> list[Lesson]:
        """The rules', then the reflector's and the judge's. What is wrong is dropped with a word."""
        kept, _ = curator.learned(case.study, lessons_by_rules(case.study, case.facts))
        kept = kept[:MOST]
        others = [one.lesson for one in findings if one.by == "reflector" and one.lesson is not None]
        others += [ruling.lesson] if ruling.lesson is not None else []
        for lesson in others:
            added, wrong = curator.learned(case.study, [lesson])
            for why in wrong:
                self.warn(f"a lesson was dropped: {why}")
            kept += [one for one in added if curator.duplicate(one, kept) is None]
        return kept


def trouble(case: Case) -> str:
    """Why critics are asked about these trials, in a few words; nothing where all is well."""
    for trial in reversed(case.trials):
        amiss = [one for one in case.grades[trial].troubles if one in RECIPE_FAULTS]
        if amiss:
            return f"{trial}: {amiss[0]}"
    ended = [one.id for one in case.facts]
    since = ended[: max(ended.index(trial) for trial in case.trials) + 1]
    met = [set(one.trials) for one in case.study.insights.reflections if one.asked]
    last = max((at for at, id in enumerate(since) if any(id in trials for trials in met)), default=-1)
    dry = since[last + 1 :]
    lacking = len(dry) >= WITHOUT_GAIN and not any(case.grades[one].gained for one in dry[-WITHOUT_GAIN:])
    if lacking and not _at_the_top(case.study):
        return f"{WITHOUT_GAIN} trials without a gain: {', '.join(dry[-WITHOUT_GAIN:])}"
    return ""


def _at_the_top(study: Study) -> bool:
    """Whether the incumbent has the best value that the metric has: nothing can gain over it."""
    job = study.jobs.get(study.incumbent or "")
    return study.task is not None and job is not None and job.score == best_value(study.task.metric.name)


def critic_prompt(case: Case, critic: Critic, asked: str, others: Sequence[Finding]) -> str:
    """The question to one critic, of at most ``told.PROMPT_TOKENS`` tokens."""
    space = case.study.plan.space if case.study.plan is not None else None
    return with_history(
        critic.prompt,
        case.study,
        query=list(case.trials),
        task=case.study.task,
        noise=noise_words(case),
        asked=asked,
        incumbent=case.parent or "none",
        facts=list(critic.facts(case)),
        others=[{"by": one.by, "says": one.says, "cause": one.cause} for one in others],
        space=[f"{one.path}: {one.says()}" for one in space.dimensions] if space is not None else [],
    )
