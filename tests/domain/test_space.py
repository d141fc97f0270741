"""Spaces: building a recipe and reading it back are inverse, and what is outside is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stories import space

from tunewright.domain.path import put
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Condition, Dimension, Float, Int, Simplex, Space

WHOLE = space(sources=("messages", "forum", "mail"))


def _value(dimension: Dimension) -> st.SearchStrategy[Any]:
    match dimension:
        case Float():
            return st.floats(dimension.low, dimension.high)
        case Int():
            return st.integers(dimension.low, dimension.high)
        case Choice():
            return st.sampled_from(dimension.options)
        case Simplex():
            parts = len(dimension.parts)
            weights = st.lists(st.floats(0.01, 1), min_size=parts, max_size=parts)
            return weights.map(lambda found: [weight / sum(found) for weight in found])


@st.composite
def assignments(draw: st.DrawFn, searched: Space = WHOLE) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for dimension in searched.dimensions:
        if dimension.active(chosen):
            chosen[dimension.name] = draw(_value(dimension))
    return chosen


class TestInverse:
    @settings(max_examples=200)
    @given(assignments())
    def test_what_is_built_is_read_back(self, chosen: dict[str, Any]) -> None:
        assert WHOLE.assignment(WHOLE.build(chosen)) == chosen

    @given(assignments(), st.integers(0, 2**31 - 1))
    def test_what_is_built_is_inside_whatever_the_seed(self, chosen: dict[str, Any], seed: int) -> None:
        assert WHOLE.problems(WHOLE.build(chosen).reseeded(seed)) == []

    @given(assignments())
    def test_a_recipe_is_the_same_after_a_journey_through_json(self, chosen: dict[str, Any]) -> None:
        recipe = WHOLE.build(chosen)
        again = Recipe.model_validate_json(recipe.model_dump_json())
        assert again.fingerprint == recipe.fingerprint and WHOLE.contains(again)
        assert recipe.differences(again) == {}

    def test_the_default_is_inside_and_read_back(self) -> None:
        assert WHOLE.assignment(WHOLE.build(WHOLE.default())) == WHOLE.default()
        assert WHOLE.contains(WHOLE.build(WHOLE.default()))

    @given(assignments())
    def test_values_of_inactive_dimensions_are_not_looked_at(self, chosen: dict[str, Any]) -> None:
        noise = {d.name: "nonsense" for d in WHOLE.dimensions if d.name not in chosen}
        assert WHOLE.build(noise | chosen) == WHOLE.build(chosen)

    def test_the_space_itself_survives_json(self) -> None:
        assert Space.model_validate_json(WHOLE.model_dump_json()) == WHOLE

    def test_building_leaves_the_template_alone(self) -> None:
        before = WHOLE.model_dump_json()
        WHOLE.build(WHOLE.default())
        assert WHOLE.model_dump_json() == before

    def test_two_dimensions_set_one_path_each_under_its_condition(self) -> None:
        for kind, low, high in (("lora", 5e-5, 2e-3), ("full", 1e-6, 2e-4)):
            chosen = WHOLE.default() | {"adapter": kind, f"lr.{kind}": high}
            recipe = WHOLE.build(chosen)
            assert recipe.stages[0].optimisation.lr == high
            assert f"lr.{kind}" in WHOLE.assignment(recipe)
            assert low < high


def edited(path: str, value: Any) -> Recipe:
    from tunewright.domain import path as paths

    document = WHOLE.build(WHOLE.default()).model_dump(mode="json")
    return Recipe.model_validate(paths.put(document, path, value))


class TestProblems:
    @pytest.mark.parametrize(
        ("path", "value", "said"),
        [
            ("stages.0.optimisation.lr", 0.5, "stages.0.optimisation.lr: 0.5 is outside 5e-05..0.002"),
            ("stages.0.adapter.r", 128, "stages.0.adapter.r: 128 is outside 2..64"),
            ("stages.0.adapter.r", 7.5, "7.5 is outside"),
            ("stages.0.adapter.r", True, "True is outside"),
            ("stages.0.adapter.r", "8", "8 is outside"),
            ("stages.0.adapter.r", float("inf"), "inf is outside"),
            ("stages.0.adapter.r", float("nan"), "nan is outside"),
            ("stages.0.adapter.kind", "gpart", "gpart is outside {lora, dora, ia3, full}"),
            ("stages.0.optimisation.weight_decay", 0.1, "weight_decay: 0.1 is not searched here; the study has 0.0"),
            ("stages.0.data.weights", [0.5, 0.5], "is outside weights over messages, forum, mail"),
        ],
    )
    def test_what_is_outside_is_named(self, path: str, value: Any, said: str) -> None:
        problems = WHOLE.problems(edited(path, value))
        assert any(said in problem for problem in problems), problems

    def test_every_problem_is_told_not_just_the_first(self) -> None:
        recipe = edited("stages.0.optimisation.lr", 0.5)
        stage = recipe.stages[0]
        wide = stage.model_copy(update={"adapter": stage.adapter.model_copy(update={"r": 128})})
        assert len(WHOLE.problems(recipe.model_copy(update={"stages": (wide,)}))) == 2

    def test_a_second_stage_is_not_in_a_space_of_one(self) -> None:
        recipe = WHOLE.build(WHOLE.default())
        longer = recipe.model_copy(update={"stages": recipe.stages * 2})
        assert not WHOLE.contains(longer)

    def test_a_setting_left_out_is_named(self) -> None:
        document = WHOLE.build(WHOLE.default()).model_dump(mode="json")
        del document["stages"][0]["adapter"]["r"]
        assert WHOLE.problems(Recipe.model_validate(document)) == ["stages.0.adapter.r is not set"]


class TestOptions:
    """Choices whose options are more than words: true and 1 differ, lists are lists on both sides of JSON."""

    searched = Space(
        template={"stages": [{"optimisation": {"lr": 1e-3, "epochs": 1.0}}]},
        dimensions=(
            Choice(name="targets", path="stages.0.adapter.modules", options=(("q", "v"), ("q",)), default=("q", "v")),
            Choice(name="rslora", path="stages.0.adapter.use_rslora", options=(True, False), default=False),
            Int(
                name="r",
                path="stages.0.adapter.r",
                low=1,
                high=4,
                default=2,
                when=(Condition(name="targets", values=(("q", "v"),)),),
            ),
        ),
    )

    @pytest.mark.parametrize("targets", [("q", "v"), ["q", "v"]])
    def test_a_list_is_a_tuple(self, targets: Any) -> None:
        recipe = self.searched.build({"targets": targets, "rslora": True, "r": 3})
        again = Recipe.model_validate_json(recipe.model_dump_json())
        assert self.searched.problems(recipe) == [] and self.searched.problems(again) == []
        assert again.stages[0].adapter.settings["r"] == 3

    def test_one_is_not_true(self) -> None:
        recipe = self.searched.build({"targets": ["q"], "rslora": 1})
        assert self.searched.problems(recipe) == ["stages.0.adapter.use_rslora: 1 is outside {True, False}"]

    def test_a_number_is_itself_written_either_way(self) -> None:
        epochs = Choice(name="e", path="stages.0.optimisation.epochs", options=(1, 2), default=1)
        searched = Space(template={"stages": [{"optimisation": {"lr": 1e-3}}]}, dimensions=(epochs,))
        assert searched.contains(searched.build({"e": 2}))


class TestBuild:
    def test_a_missing_value_is_named(self) -> None:
        chosen = WHOLE.default()
        del chosen["rank"]
        with pytest.raises(KeyError, match="rank"):
            WHOLE.build(chosen)

    def test_a_value_that_makes_no_recipe_is_refused(self) -> None:
        with pytest.raises(ValueError, match="greater than 0"):
            WHOLE.build(WHOLE.default() | {"lr.lora": -1.0})


class TestWhatKeepsMemoryLow:
    def test_it_is_free_where_it_is_not_searched_and_changes_no_result(self) -> None:
        recipe = WHOLE.build(WHOLE.default())
        lean = put(recipe.model_dump(mode="json"), "stages.0.memory", {"micro_batch": 2, "checkpoint_every": 1})
        assert WHOLE.contains(Recipe.model_validate(lean))
        assert WHOLE.assignment(Recipe.model_validate(lean)) == WHOLE.assignment(recipe)
        other = put(recipe.model_dump(mode="json"), "stages.0.memory", {"optimiser": "adafactor"})
        assert WHOLE.problems(Recipe.model_validate(other)) == [
            "stages.0.memory.optimiser: adafactor is not searched here; the study has adamw"
        ]

    def test_where_it_is_searched_it_has_to_be_one_of_its_values(self) -> None:
        choice = Choice(name="micro", path="stages.0.memory.micro_batch", options=(None, 1, 4), default=None)
        searched = WHOLE.model_copy(update={"dimensions": (*WHOLE.dimensions, choice)})
        recipe = searched.build(searched.default()).model_dump(mode="json")
        assert searched.contains(Recipe.model_validate(put(recipe, choice.path, 4)))
        assert not searched.contains(Recipe.model_validate(put(recipe, choice.path, 2)))
