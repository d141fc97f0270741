"""A recipe in a few words."""

from __future__ import annotations

import pytest
from tests.stories import task

from tunewright.domain.path import label
from tunewright.domain.recipe import Adapter, DataMix, Objective, Optimisation, Recipe, Stage
from tunewright.domain.task import DataSource
from tunewright.tools.analysis.words import difference_words, differing, mix_words, number_words, recipe_words


def recipe(**changes: object) -> Recipe:
    adapter = Adapter.model_validate({"kind": "lora", "r": 8, "alpha": 16, **changes.pop("adapter", {})})  # type: ignore[dict-item]  # test shorthand
    optimisation = {"lr": 2e-4, "epochs": 3.0, **changes.pop("optimisation", {})}  # type: ignore[dict-item]  # test shorthand
    stage = Stage(adapter=adapter, optimisation=Optimisation.model_validate(optimisation), **changes)  # type: ignore[arg-type]  # test shorthand
    return Recipe(stages=(stage,))


def test_a_recipe_reads_as_people_write_it() -> None:
    assert recipe_words(recipe()) == "lora r8 a16 lr 2e-4 3 epochs all-linear"
    dora = recipe(adapter={"kind": "dora", "r": 16, "alpha": 32, "placement": "qv"}, optimisation={"lr": 0.000612345})
    assert recipe_words(dora) == "dora r16 a32 lr 6.12e-4 3 epochs qv"


def test_full_fine_tuning_has_no_placement_and_steps_are_steps() -> None:
    full = Recipe(stages=(Stage(adapter=Adapter(kind="full"), optimisation=Optimisation(lr=5e-5, steps=1)),))
    assert recipe_words(full) == "full lr 5e-5 1 step"


def test_other_objectives_and_mixes_are_named_and_stages_are_joined() -> None:
    first = recipe(objective=Objective(kind="cpt"), data=DataMix(weights=(0.25, 0.75))).stages[0]
    both = Recipe(stages=(first, recipe().stages[0]))
    assert recipe_words(both).startswith("cpt lora r8 a16 lr 2e-4 3 epochs all-linear mix 0.25/0.75 -> lora")


def test_the_mix_names_its_sources() -> None:
    sources = (
        DataSource(path="a", name="a"),
        DataSource(path="b", name="b", measured=False),
        DataSource(path="c", name="c", general=True),
        DataSource(path="d", name="d", format="text"),
    )
    known = task().model_copy(update={"sources": sources})
    mixed = recipe(data=DataMix(weights=(0.951, 0.049)))
    assert mix_words(mixed, known) == "a 0.95, b 0.049"
    assert mix_words(recipe(), known) == ""
    cpt = recipe(objective=Objective(kind="cpt")).stages[0]
    assert mix_words(Recipe(stages=(cpt, mixed.stages[0])), known) == "sft: a 0.95, b 0.049"
    every = recipe(data=DataMix(weights=(0.5, 0.25, 0.25)))
    assert mix_words(every, known) == "a 0.5, b 0.25, d 0.25"


def test_differences_name_settings_once_and_in_peoples_order() -> None:
    other = recipe(adapter={"kind": "dora"}, optimisation={"lr": 1e-3, "batch_size": 8})
    assert difference_words(other, recipe()) == "adapter, lr, batch"


def test_another_plan_is_one_difference_and_not_every_setting_of_its_stages() -> None:
    first, then = recipe().stages[0], recipe(objective=Objective(kind="grpo")).stages[0]
    both, slower = Recipe(stages=(first, then)), recipe(optimisation={"lr": 1e-4})
    assert difference_words(slower, both) == "stages, lr"
    assert differing(slower, both) == {"stages": "sft", "lr": 1e-4}
    assert differing(both, slower) == {"stages": "sft > grpo", "lr": 2e-4}
    assert difference_words(Recipe(stages=(then,)), both) == "stages"


def test_a_seed_is_no_difference() -> None:
    assert difference_words(recipe().reseeded(7), recipe()) == "-"


def test_a_setting_that_only_one_has_is_a_difference() -> None:
    ia3 = Recipe(stages=(Stage(adapter=Adapter(kind="ia3"), optimisation=Optimisation(lr=2e-4, epochs=3)),))
    assert difference_words(ia3, recipe()) == "adapter, alpha, rank"


@pytest.mark.parametrize(
    ("value", "words"), [(6e-4, "6e-4"), (0.00061, "6.1e-4"), (2.0, "2"), (0.25, "0.25"), (0, "0"), (1500, "1500"),
                         (True, "True"), ([0.5, 0.5], "0.5, 0.5"), ("qv", "qv")],
)  # fmt: skip
def test_numbers(value: object, words: str) -> None:
    assert number_words(value) == words


@pytest.mark.parametrize(
    ("path", "word"),
    [("stages.0.adapter.kind", "adapter"), ("stages.0.adapter.r", "rank"), ("stages.1.optimisation.lr", "stage 2 lr"),
     ("stages.0.data.weights", "mix"), ("seed", "seed"), ("0", "0"), ("stages.0.objective.kind", "objective"),
     ("stages.0.depth.stages", "depths"), ("stages", "stages")],
)  # fmt: skip
def test_labels(path: str, word: str) -> None:
    assert label(path) == word
