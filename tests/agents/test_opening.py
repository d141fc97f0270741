"""What a brief names to compare is tried first: each of it once, with all else at its default."""

from __future__ import annotations

from typing import Any

import pytest
from tests.stories import Story, task

from tunewright.agents.opening import opening, opening_trials
from tunewright.domain import event as ev
from tunewright.domain.proposal import Idea
from tunewright.domain.task import Wishes
from tunewright.tools.training.space import Wanted, recipe_space

PLANS = ("sft", "dft", "cpt > sft")


def told(wishes: Wishes, *, default: bool = True, **wanted: Any) -> Story:
    """A study of a brief with these wishes, whose default recipe has been proposed."""
    plans = [tuple(plan.split(" > ")) for plan in wishes.plans] or [("sft",)]
    given = {"adapters": wishes.adapters or ["lora", "dora"], "sources": ["messages"], "plans": plans, **wanted}
    story = Story(space=recipe_space(Wanted(**given)), task=task(), seed=3)
    understood = next(one for one in story.events if isinstance(one, ev.Understood))
    story.tell(understood.model_copy(update={"wishes": wishes}))
    plan = story.study.plan
    assert plan is not None
    if default:
        recipe = plan.space.build(plan.space.default()).reseeded(plan.seed)
        story.propose([Idea(recipe=recipe, origin="default", reason="the yardstick")])
    return story


def test_every_plan_that_the_brief_names_is_tried_at_its_defaults() -> None:
    study = told(Wishes(plans=PLANS)).study
    assert study.plan is not None
    space = study.plan.space
    ideas = opening(study)
    assert [idea.recipe.plan for idea in ideas] == ["dft", "cpt > sft"]
    for idea in ideas:
        assert space.assignment(idea.recipe) == space.default(plan=idea.recipe.plan)
        assert (idea.origin, idea.recipe.seed) == ("brief", 3) and "plans of stages" in idea.reason


def test_plans_and_adapters_are_each_compared_with_the_default() -> None:
    wishes = Wishes(plans=PLANS, adapters=("lora", "dora", "ia3"))
    tried = [(idea.recipe.plan, idea.recipe.stages[0].adapter.kind) for idea in opening(told(wishes).study)]
    assert tried == [("dft", "lora"), ("cpt > sft", "lora"), ("sft", "dora"), ("sft", "ia3")]
    assert opening_trials(wishes) == 1 + len(tried)


def test_selections_and_policies_of_the_mix_are_tried_too() -> None:
    wishes = Wishes(selectors=("random", "ifd"), mixes=("temperature", "doremi"))
    made: dict[str, Any] = {"selectors": wishes.selectors, "mixes": wishes.mixes, "sources": ["a", "b"]}
    data = [idea.recipe.stages[0].data for idea in opening(told(wishes, **made).study)]
    assert [(one.selection.kind, one.policy.kind) for one in data] == [("ifd", "temperature"), ("random", "doremi")]


def test_what_was_proposed_once_is_not_proposed_again_though_it_was_rejected() -> None:
    story = told(Wishes(plans=PLANS))
    (rejected,) = story.propose(opening(story.study)[:1], approve=False)
    story.decide(rejected, action="reject", reason="not again")
    assert [idea.recipe.plan for idea in opening(story.study)] == ["cpt > sft"]
    story.propose(opening(story.study))
    assert opening(story.study) == []


@pytest.mark.parametrize(
    "wishes",
    [Wishes(), Wishes(plans=("cpt > sft",)), Wishes(adapters=("lora",)), Wishes(keep=0.5)],
)
def test_where_the_brief_compares_nothing_the_sampler_begins(wishes: Wishes) -> None:
    assert opening(told(wishes).study) == []
    assert opening_trials(wishes) == 1


def test_the_default_comes_first() -> None:
    assert opening(told(Wishes(plans=PLANS), default=False).study) == []
