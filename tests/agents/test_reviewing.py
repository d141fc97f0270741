"""A reviewer's words become bound decisions, or an error that loses nothing."""

from __future__ import annotations

import pytest
from tests.stories import CODE, FORECAST, Story, planned, space, task

from tunewright.agents.reviewing import decide
from tunewright.agents.specification import Specifier, allowed_s
from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.domain.recipe import Recipe
from tunewright.domain.review import Answer
from tunewright.domain.study import Study

LR = "stages.0.optimisation.lr"


def accept(_: Recipe) -> None:
    """Every recipe's methods exist here."""


SPECIFIER = Specifier(code=CODE, image=None, forecast=lambda study, recipe: FORECAST, check=accept)


@pytest.fixture
def study() -> Study:
    story = Story(space=space(), task=task())
    story.propose([planned(story), planned(story)], approve=False)
    return story.study


def test_an_approval_binds_the_proposals_hash(study: Study) -> None:
    (decision,) = decide(study, [Answer(target="0", action="approve")], SPECIFIER)
    assert (decision.target, decision.binds) == ("t0", study.proposals["t0"].binding)


def test_an_edit_binds_the_hash_of_what_will_be_launched(study: Study) -> None:
    (decision,) = decide(study, [Answer(target="t1", action="edit", edits={LR: 3e-4})], SPECIFIER)
    assert decision.recipe is not None and decision.recipe.stages[0].optimisation.lr == 3e-4
    launched = SPECIFIER.trial(study, decision.recipe, "t1", allowed_s(FORECAST))
    assert decision.binds == launched.binding != study.proposals["t1"].binding


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({LR: 5.0}, "outside"),
        ({LR: "fast"}, "not valid"),
        ({"stages.7.optimisation.lr": 1e-4}, "no 'stages.7"),
        ({"stages.0.optimisation.weight_decay": 0.1}, "not searched here"),
        ({"stages.0.adapter.kind": "full"}, "not searched here"),
    ],
)
def test_an_edit_outside_the_space_is_refused(study: Study, edits: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        decide(study, [Answer(target="t1", action="edit", edits=edits)], SPECIFIER)


def test_a_rejection_owes_a_reason(study: Study) -> None:
    with pytest.raises(UsageError, match="reason"):
        decide(study, [Answer(target="t0", action="reject", reason="  ")], SPECIFIER)


def test_one_wrong_answer_files_none(study: Study) -> None:
    answers = [Answer(target="t0", action="approve"), Answer(target="t9", action="approve")]
    with pytest.raises(UnknownNameError, match="t9"):
        decide(study, answers, SPECIFIER)


def test_a_plan_is_not_answered_twice(study: Study) -> None:
    with pytest.raises(UsageError, match="no plan"):
        decide(study, [Answer(target="plan", action="approve")], SPECIFIER)


def test_any_change_of_the_specification_changes_its_hash(study: Study) -> None:
    recipe = study.proposals["t0"].recipe
    spec = SPECIFIER.trial(study, recipe, "t0", 80.0)
    changed = [
        spec.model_copy(update={"recipe": recipe.reseeded(7)}),
        spec.model_copy(update={"code": CODE.model_copy(update={"digest": "e" * 64})}),
        spec.model_copy(update={"image": "sha256:1"}),
        spec.model_copy(update={"limits": spec.limits.model_copy(update={"memory_gib": 1.0})}),
        spec.model_copy(update={"data": spec.data.model_copy(update={"val": spec.data.train})}),
    ]
    assert len({spec.binding, *(one.binding for one in changed)}) == 1 + len(changed)
    assert spec.model_copy(update={"id": "t5"}).binding == spec.binding
