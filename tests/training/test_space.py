"""The space is what its methods declare, and every recipe in it can be trained."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Float, Int, Simplex, Space
from tunewright.tools.training.registry import adapter, adapters, check_recipe, objectives
from tunewright.tools.training.space import Wanted, recipe_space


def draw(space: Space, chance: random.Random) -> dict[str, Any]:
    """A random assignment of what is active."""
    found: dict[str, Any] = {}
    for dimension in space.dimensions:
        if not dimension.active(found):
            continue
        match dimension:
            case Choice():
                found[dimension.name] = chance.choice(dimension.options)
            case Float():
                found[dimension.name] = chance.uniform(dimension.low, dimension.high)
            case Int():
                found[dimension.name] = chance.randint(dimension.low, dimension.high)
            case Simplex():
                parts = [chance.random() for _ in dimension.parts]
                found[dimension.name] = [part / sum(parts) for part in parts]
    return found


@given(
    seed=st.integers(0, 10_000),
    kinds=st.lists(st.sampled_from(adapters()), min_size=1, unique=True),
    sources=st.integers(1, 3),
    max_rank=st.none() | st.integers(1, 100),
)
def test_every_recipe_of_every_space_is_valid_and_found_again(
    seed: int, kinds: list[str], sources: int, max_rank: int | None
) -> None:
    space = recipe_space(Wanted(adapters=kinds, sources=[f"s{i}" for i in range(sources)], max_rank=max_rank))
    for assignment in (space.default(), draw(space, random.Random(seed))):
        recipe = space.build(assignment)
        check_recipe(recipe)
        assert space.contains(recipe), space.problems(recipe)
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
        rank = recipe.stages[0].adapter.settings.get("rank")
        assert rank is None or max_rank is None or rank <= max_rank


def test_the_default_is_the_first_adapter_trained_longest() -> None:
    space = recipe_space(
        Wanted(adapters=["lora", "full"], sources=["a"], epochs=(1.0, 3.0, 2.0), batch_sizes=(8, 16, 64))
    )
    stage = space.build(space.default()).stages[0]
    assert (stage.adapter.kind, stage.adapter.settings) == ("lora", {"rank": 8, "alpha": 16})
    assert (stage.optimisation.epochs, stage.optimisation.batch_size) == (3.0, 16)


def test_learning_rates_are_searched_per_adapter_and_ranks_are_shared() -> None:
    space = recipe_space(Wanted(adapters=adapters(), sources=["a"]))
    names = [dimension.name for dimension in space.dimensions]
    assert {f"lr.{kind}" for kind in adapters()} <= set(names) and names.count("rank") == 1
    for kind in adapters():
        active = {dimension.name for dimension in space.active({**space.default(), "adapter": kind})}
        assert {name for name in active if name.startswith("lr.")} == {f"lr.{kind}"}
        assert (kind in ("lora", "dora", "rslora")) <= ("rank" in active)
        if len(adapter(kind).placements) == 1:
            assert not {name for name in active if name.startswith("placement")}


def test_what_leaves_no_choice_is_not_searched() -> None:
    space = recipe_space(Wanted(adapters=["full"], sources=["a"], epochs=[1.0], batch_sizes=[4], own=False))
    assert {dimension.name for dimension in space.dimensions} == {"lr.full", "schedule"}
    small = recipe_space(Wanted(adapters=["lora"], sources=["a"], max_rank=4))
    usual = recipe_space(Wanted(adapters=["lora"], sources=["a"]))
    assert not small.contains(usual.build(usual.default()))


def test_a_space_needs_something_to_choose_from() -> None:
    with pytest.raises(UsageError, match="at least one"):
        recipe_space(Wanted(adapters=[], sources=["a"]))
    with pytest.raises(UnknownNameError, match="unknown adapter 'lorra'") as caught:
        recipe_space(Wanted(adapters=["lorra"], sources=["a"]))
    assert "did you mean 'lora'" in caught.value.hint


def test_methods_say_what_they_are() -> None:
    assert {"dora", "full", "ia3", "lora", "rslora"} <= set(adapters()) and {"sft", "dpo"} <= set(objectives())
    for kind in adapters():
        method = adapter(kind)
        assert method.kind == kind and method.summary and "\n" not in method.summary


@pytest.mark.parametrize(
    ("stage", "message", "hint"),
    [
        ({"adapter": {"kind": "lora", "rnk": 1}}, "'lora' has no setting 'rnk'", "rank, alpha, dropout"),
        ({"adapter": {"kind": "lora", "rank": 0}}, "'lora' cannot have rank = 0", "rank"),
        ({"adapter": {"kind": "lora", "rank": "many"}}, "cannot have rank = 'many'", "rank"),
        ({"adapter": {"kind": "ia3", "rank": 4}}, "'ia3' has no setting 'rank'", "none"),
        ({"adapter": {"kind": "full", "placement": "mlp"}}, "'full' has no placement 'mlp'", "all-linear"),
        ({"objective": {"kind": "sft", "beta": 1}}, "'sft' has no setting 'beta'", "loss_on, label_smoothing"),
        ({"objective": {"kind": "sfft"}}, "unknown objective 'sfft'", "did you mean 'sft'"),
    ],
)
def test_a_recipe_with_a_wrong_setting_is_refused_with_what_there_is(
    stage: dict[str, Any], message: str, hint: str
) -> None:
    recipe = Recipe.model_validate({"stages": [{"optimisation": {"lr": 1e-3, "steps": 1}, **stage}]})
    with pytest.raises(UsageError) as caught:
        check_recipe(recipe)
    assert message in caught.value.message and hint in caught.value.hint
