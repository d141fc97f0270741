"""Turns a reviewer's answers into decisions: checked against the space, priced anew, bound by hash."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pydantic import ValidationError

from tunewright.agents.specification import Specifier, allowed_s, problems
from tunewright.domain import path as paths
from tunewright.domain.errors import UsageError, unknown_name
from tunewright.domain.proposal import Decision, Proposal
from tunewright.domain.recipe import Recipe
from tunewright.domain.review import Answer
from tunewright.domain.study import Study


def decide(study: Study, answers: Sequence[Answer], specifier: Specifier) -> list[Decision]:
    """All answers as decisions, or none: the first that does not hold raises and nothing is filed.

    Raises:
        UnknownNameError: no such proposal waits.
        UsageError: a rejection without a reason, or an edit that leaves the space.
    """
    return [_decision(study, answer, specifier) for answer in answers]


def _decision(study: Study, answer: Answer, specifier: Specifier) -> Decision:
    if answer.action == "answer":
        raise UsageError(f"{answer.target} is no question", "approve it, edit it or reject it with a reason")
    if answer.action == "reject" and not answer.reason.strip():
        raise UsageError(f"a rejection of {answer.target} needs a reason", '--reason "..."; the search learns from it')
    if answer.target == "plan":
        return _on_plan(study, answer)
    proposal = _waiting(study, answer.target)
    answer = answer.model_copy(update={"target": proposal.id})
    match answer.action:
        case "approve":
            return _made(answer, binds=proposal.binding)
        case "reject":
            return _made(answer, binds=None)
        case _:
            return _edited(study, answer, proposal, specifier)


def _on_plan(study: Study, answer: Answer) -> Decision:
    if study.plan is None or study.plan_approved:
        raise UsageError(f"no plan of study '{study.name}' waits for review", f"tunewright status {study.name}")
    if answer.action == "edit":
        raise UsageError(
            "a plan is approved or rejected as a whole",
            "reject it with a reason and start a study whose brief says what should change",
        )
    return _made(answer, binds=study.plan.binding if answer.action == "approve" else None)


def _waiting(study: Study, target: str) -> Proposal:
    waiting = {proposal.id: proposal for proposal in study.undecided}
    name = target if target in waiting else f"t{target}"
    if name not in waiting:
        raise unknown_name("run waiting for review", target, waiting, f"tunewright status {study.name} shows all.")
    return waiting[name]


def edit(recipe: Recipe, edits: dict[str, object]) -> Recipe:
    """The recipe with the edits in it.

    Raises:
        UsageError: a path that is not there, or a value that makes no recipe.
    """
    document = recipe.model_dump(mode="json")
    for path, value in edits.items():
        try:
            document = paths.put(document, path, value)
        except KeyError:
            known = ", ".join(_settable(recipe))
            raise UsageError(f"the recipe has no '{path}'", f"it has {known}") from None
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"the recipe has no '{where}'", f"it has {', '.join(_settable(recipe))}") from error
        raise UsageError(f"the edited recipe is not valid: {where}: {first['msg']}", "edit it again") from error


def _settable(recipe: Recipe) -> list[str]:
    from tunewright.domain.frozen import flatten

    return sorted(flatten(recipe.model_dump(mode="json")))


def _edited(study: Study, answer: Answer, proposal: Proposal, specifier: Specifier) -> Decision:
    recipe = edit(proposal.recipe, answer.edits)
    idea = proposal.idea.model_copy(update={"recipe": recipe, "origin": "reviewer"})
    priced = specifier.price(study, idea, proposal.id)
    wrong = problems(study, priced)
    if wrong:
        hint = "; ".join(wrong[1:]) or "give a value in that range, or reject the run with a reason"
        raise UsageError(f"the edit of {proposal.id} is not in the plan's space: {wrong[0]}", hint)
    binds = specifier.trial(study, recipe, proposal.id, allowed_s(priced.forecast)).binding
    return _made(answer, binds=binds, recipe=recipe, priced=priced)


def _made(
    answer: Answer, *, binds: str | None, recipe: Recipe | None = None, priced: Proposal | None = None
) -> Decision:
    assert answer.action != "answer"
    return Decision(
        target=answer.target,
        action=answer.action,
        by=answer.by,
        reason=answer.reason,
        binds=binds,
        recipe=recipe,
        forecast=priced.forecast if priced else None,
        at=time.time(),
    )
