"""Compression as a part of the recipe: searched where a method allows it, refused where not, measured as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import load_rows
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.adapter import attach
from tunewright.tools.models.load import load_model
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.registry import check_recipe
from tunewright.tools.training.space import Wanted, recipe_space

Make = Callable[..., Any]


def stage(kind: str = "lora", compress: float = 1.0, **optimisation: Any) -> dict[str, Any]:
    given = {"lr": 3e-3, "batch_size": 4, "steps": 6, "precision": "fp32", **optimisation}
    return {"adapter": {"kind": kind, "compress": compress}, "optimisation": given}


def test_it_is_a_dimension_only_when_asked_for() -> None:
    plain = recipe_space(Wanted(adapters=["lora", "dora"], sources=["a"]))
    assert "compress" not in {dimension.name for dimension in plain.dimensions}
    space = recipe_space(Wanted(adapters=["lora", "dora", "full"], sources=["a"], compress=(1.0, 0.99, 0.9)))
    (found,) = (dimension for dimension in space.dimensions if dimension.name == "compress")
    assert isinstance(found, Choice) and found.options == (1.0, 0.99, 0.9) and found.default == 1.0
    assert found.when[0].values == ("lora",)
    chosen = {**space.default(), "compress": 0.9}
    recipe = space.build(chosen)
    assert recipe.stages[0].adapter.compress == 0.9 and space.contains(recipe)
    check_recipe(recipe)
    dora = {**chosen, "adapter": "dora", "lr.dora": 1e-3}
    assert space.build(dora).stages[0].adapter.compress == 1.0


def test_where_no_method_allows_it_there_is_none() -> None:
    space = recipe_space(Wanted(adapters=["dora", "full"], sources=["a"], compress=(1.0, 0.9)))
    assert "compress" not in {dimension.name for dimension in space.dimensions}


@pytest.mark.parametrize(
    ("stages", "message", "hint"),
    [
        ([stage("dora", 0.9)], "'dora' cannot be compressed", "lora"),
        ([stage("full", 0.9)], "'full' cannot be compressed", "leave compress at 1"),
        ([stage("lora", 0.9), stage("lora")], "compress is for the last stage", "last stage"),
    ],
)
def test_a_recipe_that_cannot_be_compressed_is_refused(stages: list[Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_recipe(Recipe.model_validate({"stages": stages}))
    assert hint in caught.value.hint


@pytest.mark.parametrize("share", [0.0, -1.0, 1.01])
def test_what_is_no_share_is_no_recipe(share: float) -> None:
    with pytest.raises(ValueError, match="compress"):
        Recipe.model_validate({"stages": [stage("lora", share)]})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_trial_is_measured_and_saved_as_compressed(make_job: Make, precision: str) -> None:
    plain, small = (
        make_job("plain", stage(precision=precision)),
        make_job("small", stage("lora", 0.8, precision=precision)),
    )
    assert main(plain.argv) == main(small.argv) == 0
    assert small.curve() == plain.curve(), "it is trained as ever"
    assert small.result().trainable_parameters == plain.result().trainable_parameters
    assert small.result().adapter_bytes < plain.result().adapter_bytes
    assert json.loads((small.out / "adapter" / "adapter_config.json").read_text())["rank_pattern"]
    model, tokenizer = load_model(small.model, device="cpu")
    spec = json.loads((small.folder / "spec.json").read_text())
    rows = load_rows(small.folder / "in" / "val.jsonl")
    task = TaskSpec.model_validate(spec["task"])
    found, _ = measure(attach(model, small.out / "adapter"), tokenizer, rows, task, step=6, precision=precision)
    assert found.value == small.result().measurement.value


def test_after_another_stage_the_last_one_is_compressed(make_job: Make) -> None:
    job = make_job("job", stage("lora", steps=2), stage("lora", 0.8, steps=3))
    assert main(job.argv) == 0
    patterns = [
        json.loads((job.out / "adapter" / name / "adapter_config.json").read_text())["rank_pattern"] for name in "01"
    ]
    assert not patterns[0] and patterns[1]
