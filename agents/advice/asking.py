"""Asks a language model for ideas, each with a hypothesis that one run can refute, and keeps those that are of use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import ConfigDict, model_validator

from tunewright.agents import toolbox
from tunewright.agents.advice.answer import FEWEST, MOST, IdeasAnswer, named
from tunewright.agents.advice.mending import mended
from tunewright.agents.context.told import with_history
from tunewright.agents.prompt import quoted
from tunewright.agents.proposing import changed_trial, kept_settings, problems, project, proposed
from tunewright.agents.reflection.grade import grades
from tunewright.agents.schemas import IdeaAnswer, RefutationAnswer
from tunewright.domain import event as ev
from tunewright.domain.errors import BrainError, BudgetError
from tunewright.domain.frozen import Json
from tunewright.domain.plain import plain
from tunewright.domain.proposal import Hypothesis, Idea, Refutation
from tunewright.domain.protocols import Brain
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Condition, Dimension, Space
from tunewright.domain.study import Study
from tunewright.domain.suppositions import standings

ROLE = "proposer"
_LATEST = 3
_FARED = 8
"""Earlier hypotheses that are told with what became of them."""
_LONGEST = 300
"""Characters of a claim, or of what refutes it."""
_NOTE = 400
"""Characters of a line on what was left out: it may name a path or a value as a model wrote it."""
_UNSAID = "it did not say"
_ROUNDS = 4
"""Of calls before the answer: each is billed the whole question again."""


def advise(
    study: Study,
    brain: Brain,
    *,
    folder: Path | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> ev.Advised:
    """A language model's ideas for the rounds to come, the best first. Each is looked at by itself: one that does not
    fit is mended or left out with a note. Only where none is of use is the model told why, and asked again.

    Args:
        folder: the study's, for tools to look at; None: the model answers without tools.
        warn: is told in one line why ideas that were asked for are missing.

    Raises:
        PauseError: the language model cannot be reached.
    """
    told = {"by": brain.name, "asked_after": len(study.proposals), "ended": sum(job.ended for job in study.trials)}

    class Checked(IdeasAnswer):
        model_config = ConfigDict(title="IdeasAnswer")

        @model_validator(mode="after")
        def _one_is_of_use(self) -> Checked:
            ideas, dropped = weighed(study, self)
            if not ideas:
                raise ValueError("; ".join(dropped))
            return self

    try:
        prompt = ideas_prompt(study, askable=folder is not None)
        tools = toolbox.for_study(study, folder) if folder is not None else []
        answer = brain.converse(ROLE, prompt, Checked, tools, rounds=_ROUNDS)
    except (BrainError, BudgetError) as error:
        why = f" ({error.hint})" if error.hint and isinstance(error, BrainError) else ""
        warn(f"no idea from {brain.name}: {error.message}{why}")
        return ev.Advised.model_validate({**told, "why": error.message})
    ideas, dropped = weighed(study, answer)
    return ev.Advised.model_validate({**told, "ideas": ideas, "dropped": dropped})


def weighed(study: Study, answer: IdeasAnswer) -> tuple[list[Idea], list[str]]:
    """What is of use of an answer, at most ``MOST``; and what was left out or mended, a line each."""
    parent = changed_trial(study)
    assert study.plan is not None and parent is not None
    space, recipe = study.plan.space, study.recipe_of(parent).recipe
    run = proposed(study)
    ideas: list[Idea] = []
    dropped = [plain(note, _NOTE) for note in answer.left_out]
    for one in answer.ideas:
        said = named({"hypothesis": one.hypothesis})
        better = mended(space, kept_settings(space, recipe), {edit.path: edit.value for edit in one.edits})
        wrong = problems(space, recipe, better.edits, run)
        if not wrong and len(ideas) == MOST:
            wrong = [f"of more than {MOST} ideas the first are kept"]
        if wrong:
            dropped.append(_note(said, wrong[0]))
            continue
        dropped += [_note(said, note) for note in better.notes]
        made = project(space, recipe, better.edits)
        run.add(made.fingerprint)
        ideas.append(_idea(study, parent, made, one))
    return ideas, dropped


def _note(idea: str, why: str) -> str:
    return plain(f"{idea}: {why}", _NOTE)


def _idea(study: Study, parent: str, recipe: Recipe, answer: IdeaAnswer) -> Idea:
    cites = tuple(id for id in answer.cites if id in study.insights.memory)
    claim = plain(answer.hypothesis, _LONGEST) or _UNSAID
    reason = f"{claim.rstrip('.')}; refuted if {plain(answer.refuted_if, _LONGEST) or _UNSAID}"
    return Idea(
        recipe=recipe,
        origin="planner",
        reason=f"after {' and '.join(cites)}: {reason}" if cites else reason,
        parent=parent,
        hypothesis=Hypothesis(claim=claim, refuted_if=_refutation(study, parent, answer.test)),
        cites=cites,
    )


def _refutation(study: Study, parent: str, test: RefutationAnswer | None) -> Refutation:
    """The test as the model has it; where code cannot tell by that, a gain over the parent of no more than nothing."""
    if test is not None and (test.trial in study.jobs if test.trial is not None else test.quantity != "gain"):
        return Refutation.model_validate(test.model_dump())
    against = parent if parent in study.jobs and study.jobs[parent].score is not None else study.incumbent or "base"
    return Refutation(quantity="gain", relation="<=", value=0.0, trial=against)


def ideas_prompt(study: Study, *, askable: bool = False) -> str:
    """The question to a language model, of at most ``told.PROMPT_TOKENS`` tokens.

    Args:
        askable: whether it has tools to ask for what is left out of the history.
    """
    parent = changed_trial(study)
    assert study.plan is not None and parent is not None
    task = study.plan.task
    base = study.base.score if study.base is not None else None
    return with_history(
        "propose",
        study,
        query=[parent, *(job.id for job in study.trials[-_LATEST:])],
        askable=askable,
        task=task,
        labels=len(task.labels),
        rows=study.data.train.rows if study.data is not None else "an unknown number of",
        base="not measured" if base is None else f"{base:.3f}",
        space=[_range(study.plan.space, dimension) for dimension in study.plan.space.dimensions],
        incumbent=parent,
        fewest=FEWEST,
        most=MOST,
        supposed=_supposed(study),
        fared=_fared(study),
        waiting=[quoted(idea.reason) for idea in study.stock.waiting],
    )


def _supposed(study: Study) -> list[str]:
    """What the study is to find out by its plan, and how that stands."""
    found: list[str] = []
    for standing in standings(study):
        one = standing.supposition
        test = one.refuted_if or (one.test.says() if one.test is not None else "")
        found.append(quoted(one.claim) + (f", refuted if {quoted(test)}" if test else "") + f": {standing.says()}")
    return found


def _fared(study: Study) -> list[str]:
    """Hypotheses of trials that have ended, oldest first, and what became of them."""
    lines = []
    for grade in grades(study):
        hypothesis = study.proposals[grade.trial].idea.hypothesis if grade.trial in study.proposals else None
        if hypothesis is not None:
            test = f"refuted if {hypothesis.refuted_if.says()}"
            lines.append(f"{grade.trial}: {quoted(hypothesis.claim)}, {test}: {grade.says(cost=False)}")
    return lines[-_FARED:]


def _range(space: Space, dimension: Dimension) -> str:
    conditions = " and ".join(_condition(space, condition) for condition in dimension.when)
    return f"{dimension.path}: {dimension.says()}" + (f", if {conditions}" if conditions else "")


def _condition(space: Space, condition: Condition) -> str:
    path: Json = next((d.path for d in space.dimensions if d.name == condition.name), condition.name)
    return f"{path} is {' or '.join(str(value) for value in condition.values)}"
