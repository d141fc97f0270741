"""Spaces of several plans: every recipe can be trained, costs what the others cost, and is found again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.training.test_space import draw

from tunewright.domain import path as paths
from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import PLAN_ARROW
from tunewright.domain.space import Choice, Space, StagePlan
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import adapters, check_recipe, goes_with, objectives
from tunewright.tools.training.registry import objective as find_objective
from tunewright.tools.training.space import Plan, Wanted, recipe_space

PLANS: list[Plan] = [("sft",), ("cpt", "sft"), ("dft",), ("cpt", "dft")]


def space(**wanted: Any) -> Space:
    return recipe_space(Wanted(**{"adapters": ["lora", "cera", "full"], "sources": ["a"], "plans": PLANS, **wanted}))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_every_recipe_of_every_plan_is_valid_and_found_again(seed: int, data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(objectives()), min_size=1, max_size=4, unique=True))
    plan_list = st.lists(st.lists(st.sampled_from(kinds), min_size=1, max_size=3, unique=True).map(tuple), min_size=1)
    plans = data.draw(plan_list)
    able = [
        kind
        for kind in adapters()
        if all(goes_with(find_adapter(kind), find_objective(one)) for plan in plans for one in plan)
    ]
    wanted = data.draw(st.lists(st.sampled_from(able), min_size=1, max_size=3, unique=True))
    made = recipe_space(Wanted(adapters=["lora", *wanted], sources=["a", "b"], plans=plans))
    for assignment in (made.default(), draw(made, random.Random(seed))):
        recipe = made.build(assignment)
        check_recipe(recipe)
        assert recipe.plan in {PLAN_ARROW.join(plan) for plan in plans}
        assert made.contains(recipe), made.problems(recipe)


def test_the_first_plan_is_the_default_and_the_plan_decides_the_stages() -> None:
    made = space()
    assert made.build(made.default()).plan == "sft"
    recipe = made.build(made.default(plan="cpt > sft"))
    assert recipe.plan == "cpt > sft" and recipe.stages[1].carry == "continue"
    assert made.build(made.default(plan="cpt > sft", adapter="full")).stages[1].carry == "merge"
    names = {dimension.name for dimension in made.active(made.default())}
    assert "lr.lora.sft" in names and not {name for name in names if ".cpt" in name}


def test_a_stage_of_one_objective_is_one_dimension_in_all_plans() -> None:
    made = space()
    alone, after = made.default(), made.default(plan="cpt > sft")
    assert alone["lr.lora.sft"] == after["lr.lora.sft"]
    recipe = made.build({**after, "lr.lora.sft": 1e-3, "lr.lora.cpt": 2e-4})
    assert [stage.optimisation.lr for stage in recipe.stages] == [2e-4, 1e-3]


def test_plans_share_one_bill() -> None:
    made = space(epochs=(4.0,), adapters=["lora"])
    bills = {}
    for plan in PLANS:
        recipe = made.build(made.default(plan=PLAN_ARROW.join(plan)))
        bills[recipe.plan] = sum(
            (stage.optimisation.epochs or 0) * find_objective(stage.objective.kind).step_cost for stage in recipe.stages
        )
    assert all(bill == pytest.approx(4.0, rel=0.05) for bill in bills.values()), bills


def test_a_single_plan_of_several_stages_needs_no_choice() -> None:
    made = space(plans=[("cpt", "sft")], adapters=["lora"])
    assert not [one for one in made.dimensions if isinstance(one, StagePlan)]
    assert made.build(made.default()).plan == "cpt > sft"


def test_compression_is_of_the_last_stage() -> None:
    made = space(adapters=["lora"], compress=(1.0, 0.9))
    recipe = made.build({**made.default(plan="cpt > sft"), "compress": 0.9})
    assert [stage.adapter.compress for stage in recipe.stages] == [1.0, 0.9]
    check_recipe(recipe)


def test_what_the_brief_fixes_is_not_searched() -> None:
    made = space(plans=[("sft",)], adapters=["lora"], settings={"sft": {"label_smoothing": 0.1}})
    assert not [one for one in made.dimensions if one.path.endswith("label_smoothing")]
    assert made.build(made.default()).stages[0].objective.settings["label_smoothing"] == 0.1


def test_adapters_that_the_plans_cannot_train_are_left_out_or_refused() -> None:
    plans = [("dpo",)]
    made = space(plans=plans, adapters=["boostlora", "lora"])
    assert made.build(made.default()).stages[0].adapter.kind == "lora"
    with pytest.raises(UsageError, match="none of boostlora can be trained by dpo"):
        space(plans=plans, adapters=["boostlora"])


def test_paths_of_several_stages() -> None:
    document = {"stages": [{"objective": {"kind": "cpt"}, "x": 1}, {"objective": {"kind": "sft"}, "x": 2}]}
    assert paths.get(document, "stages.*.x") == 1 and paths.get(document, "stages.@sft.x") == 2
    assert [one["x"] for one in paths.put(document, "stages.*.x", 5)["stages"]] == [5, 5]
    assert [one["x"] for one in paths.put(document, "stages.@sft|dft.x", 5)["stages"]] == [1, 5]
    for path in ("stages.@grpo.x", "stages.@grpo"):
        with pytest.raises(KeyError):
            paths.get(document, path)
    with pytest.raises(KeyError):
        paths.put(document, "stages.@grpo.x", 1)
    assert (
        paths.label("stages.@grpo.optimisation.lr") == "grpo lr" and paths.label("stages.*.adapter.kind") == "adapter"
    )


def test_the_plan_is_a_choice_to_a_sampler() -> None:
    plan = next(one for one in space().dimensions if isinstance(one, StagePlan))
    assert isinstance(plan, Choice) and plan.options == ("sft", "cpt > sft", "dft", "cpt > dft")
    assert Space.model_validate_json(space().model_dump_json()) == space()
