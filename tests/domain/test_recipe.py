"""Recipes and specifications: what changes a number changes a hash, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stories import CODE, DATA, MODEL, space, task

from tunewright.domain.job import EvaluationSpec, Limits, TrialSpec, job_spec
from tunewright.domain.path import put
from tunewright.domain.recipe import DataMix, Optimisation, Recipe

RECIPE = space().build(space().default())
SPEC = TrialSpec(
    id="t0",
    study="route-01",
    task=task(),
    model=MODEL,
    limits=Limits(wall_s=100, memory_gib=4, threads=2),
    code=CODE,
    sandbox="process",
    recipe=RECIPE,
    data=DATA,
)


class TestRecipe:
    def test_the_seed_is_no_discovery_but_another_training(self) -> None:
        again = RECIPE.reseeded(7)
        assert again.fingerprint == RECIPE.fingerprint and again.content_digest != RECIPE.content_digest

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("stages.0.optimisation.lr", 2.1e-4),
            ("stages.0.adapter.r", 9),
            ("stages.0.adapter.something_new", "x"),
            ("stages.0.objective.kind", "dft"),
            ("stages.0.data.weights", [1.0]),
        ],
    )
    def test_everything_else_is_in_the_fingerprint(self, path: str, value: Any) -> None:
        other = Recipe.model_validate(put(RECIPE.model_dump(mode="json"), path, value))
        assert other.fingerprint != RECIPE.fingerprint
        assert list(other.differences(RECIPE)) == [path]
        assert other.differences(RECIPE)[path][0] == value

    def test_settings_of_a_method_are_kept_as_they_are(self) -> None:
        adapter = RECIPE.stages[0].adapter.model_validate(
            {"kind": "lora", "r": 8, "targets": ["q", "v"], "deep": {"a": 1}}
        )
        assert adapter.settings == {"r": 8, "targets": ["q", "v"], "deep": {"a": 1}}

    @pytest.mark.parametrize("weights", [(0.5, 0.6), (-0.5, 1.5), (0.2, 0.2)])
    def test_weights_off_the_simplex_are_refused(self, weights: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="sum to 1"):
            DataMix(weights=weights)

    @pytest.mark.parametrize("length", [{}, {"epochs": 1.0, "steps": 10}])
    def test_one_length_and_one_only(self, length: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="exactly one of epochs and steps"):
            Optimisation(lr=1e-4, **length)

    @given(st.floats(0.01, 10), st.integers(1, 5000), st.integers(1, 64))
    def test_steps_follow_rows_and_there_is_always_one(self, epochs: float, rows: int, batch: int) -> None:
        steps = Optimisation(lr=1e-4, epochs=epochs, batch_size=batch).total_steps(rows)
        assert steps >= 1 and abs(steps - max(1.0, epochs * rows / batch)) <= 0.5
        assert Optimisation(lr=1e-4, steps=7).total_steps(rows) == 7


class TestBinding:
    def test_the_same_thing_elsewhere_has_the_same_binding(self) -> None:
        assert SPEC.model_copy(update={"id": "t9", "study": "again"}).binding == SPEC.binding

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("recipe.seed", 1),
            ("recipe.stages.0.optimisation.lr", 1e-3),
            ("data.train.digest", "9" * 64),
            ("data.test.digest", "9" * 64),
            ("model.digest", "9" * 64),
            ("code.digest", "9" * 64),
            ("code.packages.torch", "3.0"),
            ("limits.wall_s", 101),
            ("limits.threads", 4),
            ("image", "sha256:0"),
            ("sandbox", "docker"),
            ("task.prompt", "Topic of {input}:"),
            ("rungs.steps", [10]),
            ("preflight_steps", 2),
        ],
    )
    def test_whatever_changes_the_run_changes_it(self, path: str, value: Any) -> None:
        other = TrialSpec.model_validate(put(SPEC.model_dump(mode="json"), path, value))
        assert other.binding != SPEC.binding

    def test_a_spec_read_from_its_file_has_the_binding_it_was_approved_with(self) -> None:
        again = job_spec.validate_json(SPEC.model_dump_json(indent=1))
        assert isinstance(again, TrialSpec) and again.binding == SPEC.binding and again == SPEC

    @pytest.mark.parametrize("name", ["", "T0", "t 0", "../t0", "-t0", "t" * 64, "t0\n"])
    def test_an_id_is_a_safe_folder_name(self, name: str) -> None:
        with pytest.raises(ValueError, match="String should match pattern"):
            TrialSpec.model_validate(SPEC.model_dump(mode="json") | {"id": name})

    def test_training_and_evaluation_are_told_apart(self) -> None:
        shared = SPEC.model_dump(mode="json", exclude={"recipe", "rungs", "preflight_steps", "job", "data"})
        spec = EvaluationSpec.model_validate(shared | {"split": "val", "data": DATA.val})
        assert isinstance(job_spec.validate_json(spec.model_dump_json()), EvaluationSpec)
