"""Spaces with depths and clients: every recipe can be trained, and is found again; without them nothing changes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.test_space import draw

from tunewright.domain.depth import Depth
from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Memory
from tunewright.domain.space import Space
from tunewright.tools.training.registry import adapters, check_recipe
from tunewright.tools.training.space import Plan, Wanted, recipe_space

KINDS = adapters()
PLANS: list[list[Plan]] = [
    [("sft",)],
    [("sft",), ("cpt", "dft")],
    [("cpt", "sft"), ("sft", "dpo")],
    [("alphatoken",), ("sft",)],
]


def space(**wanted: Any) -> Space:
    return recipe_space(Wanted(**{"adapters": ["lora", *KINDS], "sources": ["a"], **wanted}))


def names(made: Space) -> set[str]:
    return {dimension.name for dimension in made.dimensions}


@given(
    seed=st.integers(0, 10_000),
    plans=st.sampled_from(PLANS),
    depths=st.sampled_from([(), (2,), (2, 3, 4), (3, 1), (1, 4)]),
    clients=st.sampled_from([1, 3]),
    alpha=st.sampled_from([None, 0.2]),
    memory=st.sampled_from([None, Memory(checkpoint_every=1)]),
)
def test_every_recipe_is_valid_and_found_again(seed: int, plans: list[Plan], **wanted: Any) -> None:
    made = space(plans=plans, sources=["a", "b"], **wanted)
    for assignment in (made.default(), draw(made, random.Random(seed))):
        recipe = made.build(assignment)
        check_recipe(recipe)
        assert made.contains(recipe), made.problems(recipe)
        for stage in recipe.stages:
            supervised = stage.objective.kind != "dpo"
            assert stage.depth.clients == (wanted["clients"] if supervised else 1)


def test_off_unless_it_is_wanted() -> None:
    plain = space()
    assert not names(plain) & {"depth", "depth_beta", "depth_groups", "full_share", "local_steps", "average"}
    assert all(stage.depth == Depth() for stage in plain.build(plain.default()).stages)


def test_all_recipes_deepen_where_the_whole_model_is_no_option() -> None:
    made = space(depths=(2, 4))
    chance = random.Random(0)
    recipes = [made.build(draw(made, chance)) for _ in range(40)]
    assert {recipe.stages[0].depth.stages for recipe in recipes} == {2, 4}
    assert {"dora", "full"}.isdisjoint(recipe.stages[0].adapter.kind for recipe in recipes)


def test_where_it_is_one_adapters_that_cannot_deepen_stay() -> None:
    made = space(depths=(2, 1), adapters=["lora", "full"])
    assert made.build(made.default()).stages[0].depth.stages == 2
    assert made.build(made.default(adapter="full")).stages[0].depth.stages == 1
    assert "depth_beta" not in {one.name for one in made.active(made.default(depth=1))}


def test_clients_are_what_the_brief_says_and_what_they_do_is_searched() -> None:
    made = space(clients=5, alpha=0.3, adapters=["lora", "ia3"], sources=["a", "b"])
    depth = made.build(made.default(local_steps=20, average="share_a")).stages[0].depth
    expected = {"clients": 5, "partition": "dirichlet", "alpha": 0.3, "local_steps": 20, "average": "share_a"}
    assert depth == Depth(**expected)
    assert "average" not in {one.name for one in made.active(made.default(adapter="ia3"))}
    assert "mix" not in names(made), "the sources of a client are what it has"


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"adapters": ["full", "dora"], "depths": (2,)}, "none of full, dora can be trained by progressive depth"),
        ({"adapters": ["full"], "depths": (2, 1)}, "none of full can be"),
        ({"adapters": ["adalora"], "clients": 2}, "none of adalora can be"),
        ({"adapters": ["lora"], "plans": [("dpo",)], "depths": (2,)}, "progressive depth cannot train dpo"),
        ({"adapters": ["lora"], "plans": [("alphatoken",)], "depths": (2,)}, "cannot train alphatoken"),
        ({"adapters": ["lora"], "clients": 2, "replay": 0.1}, "as they are"),
        ({"adapters": ["lora"], "clients": 2, "mixes": ["doremi"], "sources": ["a", "b"]}, "as they are"),
        ({"adapters": ["lora"], "clients": 2, "selectors": ["dwm"]}, "as they are"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(wanted: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        space(**wanted)
