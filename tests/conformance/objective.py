"""What every objective must hold, through the entry that a sandbox uses. Subclasses give the fixture ``kind``.

Needs the fixture ``write_job`` (``tests/training/conftest.py``). What a kind needs beyond its defaults is a line in
``objective_case.py``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.objective_case import CASES, ROWS, Case
from tests.support.host import heavy

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Dimension, Float, Int
from tunewright.tools.contract import Output
from tunewright.tools.training.__main__ import _run, main
from tunewright.tools.training.method import ObjectiveMethod
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import check_recipe
from tunewright.tools.training.registry import objective as find_objective
from tunewright.tools.training.space import Wanted, recipe_space
from tunewright.tools.training.stop import Stop

CODES = {said: code for code, said in EXIT_CODES.items()}
STEPS, STOP = 3, 2
Train = Callable[..., "Trained"]


class StopAfter(Stop):
    """Asked once the curve of a job holds so many steps."""

    def __init__(self, out: Path, steps: int) -> None:
        super().__init__()
        self.curve, self.steps = out / "curve.jsonl", steps

    def __bool__(self) -> bool:
        return self.curve.exists() and len(self.curve.read_text().splitlines()) >= self.steps


@dataclass(frozen=True)
class Trained:
    """What can be seen of a finished job, and what must not differ between two of the same specification."""

    losses: tuple[float, ...]
    facts: tuple[tuple[str, float], ...]
    """Of the last step."""
    notes: tuple[str, ...]
    curve_digest: str | None
    adapter_digest: str | None
    files: str
    """SHA-256 over everything that the adapter's folder holds."""


def trained(job: Any) -> Trained:
    """Reads what a job left."""
    result, folder = job.result(), job.out / "adapter"
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return Trained(
        losses=tuple(point["loss"] for point in job.curve()),
        facts=tuple(sorted(job.events("progressed")[-1].facts.items())),
        notes=tuple(event.message for event in job.events("noted")),
        curve_digest=result.curve_digest,
        adapter_digest=result.adapter_digest,
        files=whole.hexdigest(),
    )


def another(method: ObjectiveMethod, case: Case, name: str) -> Any:
    """A value of a setting that is not the one it has in the case's trials."""
    if name in case.other:
        return case.other[name]
    usual = case.settings.get(name, method.Config.model_fields[name].get_default(call_default_factory=True))
    if isinstance(usual, bool):
        return not usual
    said = method.Config.model_json_schema()["properties"][name]
    options = [*said.get("enum", ()), *(value for one in method.dimensions("stages.0") for value in values(one, name))]
    found = next((option for option in options if option != usual), None)
    if found is None:
        pytest.fail(
            f"add a value of '{name}' to the line of '{method.kind}' in CASES (objective_case.py): other={{...}}"
        )
    return found


def values(dimension: Dimension, name: str) -> list[Any]:
    """Values of a dimension if it is of this setting: all of a choice, the ends of a range."""
    if dimension.path.rpartition(".")[2] != name:
        return []
    return [dimension.low, dimension.high] if isinstance(dimension, Float | Int) else list(dimension.options)  # type: ignore[union-attr]


def impossible(said: Mapping[str, Any]) -> list[Any]:
    """Values that a setting of this JSON schema cannot have."""
    wrong: list[Any] = [said[bound] for bound in ("exclusiveMinimum", "exclusiveMaximum") if bound in said]
    wrong += [said[bound] + off for bound, off in (("minimum", -1), ("maximum", 1)) if bound in said]
    wrong += ["no such choice"] if "enum" in said else []
    return wrong if said.get("type") == "object" else [*wrong, {"no": "value"}]


class ObjectiveConformance:
    """Inherit it and give the fixture ``kind``, of scope ``class``."""

    @pytest.fixture(scope="class")
    def method(self, kind: str) -> ObjectiveMethod:
        return find_objective(kind)

    @pytest.fixture(scope="class")
    def case(self, kind: str) -> Case:
        return CASES.get(kind, Case())

    @pytest.fixture(scope="class")
    def train(
        self, kind: str, method: ObjectiveMethod, case: Case, write_job: Any, tmp_path_factory: pytest.TempPathFactory
    ) -> Train:
        """Trains a job of its own; ``stop`` and go on after so many steps."""
        form = case.format or method.formats[0]
        task = {"sources": [{"path": "a.jsonl", "name": "a", "format": form}], "max_new_tokens": 6, **case.task}
        made: dict[str, Trained] = {}

        def run(stop: int = 0, dropout: float = 0.1, again: bool = False, **settings: Any) -> Trained:
            key = repr((stop, dropout, sorted(settings.items())))
            if key in made and not again:
                return made[key]
            stage = recipe_stage(kind, method, case, dropout, settings)
            folder = tmp_path_factory.mktemp(kind) / "job"
            job = write_job(folder, *case.before, stage, own=ROWS[form], task=task)
            if stop:
                output = Output(job.folder)
                code = _run(job.folder, job.model, output, StopAfter(job.out, stop), time.perf_counter())
                output.close()
                assert code == CODES["paused"] and job.result().steps == stop
            assert main(job.argv) == CODES["done"], job.result().fault
            made[key] = trained(job)
            return made[key]

        return run

    def test_says_what_it_is_and_where_it_comes_from(self, method: ObjectiveMethod, kind: str) -> None:
        assert method.kind == kind and method.summary and method.paper and method.names
        assert method.formats and set(method.formats) <= ROWS.keys()
        assert method.step_cost > 0 and method.activation_cost > 0 and method.lr_scale > 0
        assert method.lr_scale == 1 or method.lr_source

    def test_the_host_can_ask_it_without_torch(self, kind: str) -> None:
        asked = f"from tunewright.tools.training.registry import objective; objective({kind!r}).dimensions('stages.0')"
        assert heavy(asked) == []

    def test_its_dimensions_are_settings_it_has(self, method: ObjectiveMethod, kind: str, case: Case) -> None:
        usual = method.Config.model_validate(case.settings)
        for dimension in method.dimensions("stages.0"):
            name = dimension.path.removeprefix("stages.0.objective.")
            assert name in method.Config.model_fields, dimension.path
            assert dimension.why, f"{dimension.name} says no source"
            assert name in case.settings or getattr(usual, name) == dimension.default, f"{name} has two defaults"
            for value in (*values(dimension, name), dimension.default):
                assert dimension.holds(value)
                method.Config.model_validate({**case.settings, name: value})

    def test_its_default_recipe_is_one(self, kind: str, method: ObjectiveMethod, case: Case) -> None:
        wanted = Wanted(adapters=("lora",), sources=("a",), plans=((kind,),), settings={kind: case.settings})
        space = recipe_space(wanted)
        recipe = space.build(space.default())
        assert [stage.objective.kind for stage in recipe.stages] == [kind]
        if not case.before:
            check_recipe(recipe)

    def test_its_learning_rates_are_scaled(self, kind: str, method: ObjectiveMethod, case: Case) -> None:
        space = recipe_space(
            Wanted(adapters=("lora",), sources=("a",), plans=((kind,),), settings={kind: case.settings})
        )
        found = next(one for one in space.dimensions if one.path.endswith("optimisation.lr"))
        assert isinstance(found, Float)
        for value, base in zip((found.low, found.high, found.default), find_adapter("lora").lr, strict=True):
            assert value == pytest.approx(base * method.lr_scale, rel=0.01)

    def test_three_steps_are_trained_and_equal_specs_give_equal_bytes(self, train: Train) -> None:
        first = train()
        assert len(first.losses) >= STEPS
        assert train(again=True) == first

    def test_stopped_in_mid_stage_it_goes_on_as_if_it_had_not(self, train: Train, case: Case) -> None:
        straight, resumed = train(), train(stop=STOP + sum(one["optimisation"]["steps"] for one in case.before))
        assert resumed.losses == straight.losses
        assert (resumed.adapter_digest, resumed.files) == (straight.adapter_digest, straight.files)
        assert resumed.facts == straight.facts

    @pytest.mark.parametrize("size", [1, 3])
    def test_micro_batches_change_no_number(self, train: Train, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        from tunewright.tools.training.trainer import StageTrainer

        whole = train(dropout=0.0)
        monkeypatch.setattr(StageTrainer, "micro_batch", size)
        parts = train(dropout=0.0, again=True)
        assert parts.losses == pytest.approx(whole.losses, rel=1e-4, abs=1e-6)
        assert dict(parts.facts) == pytest.approx(dict(whole.facts), rel=1e-3, abs=1e-5)

    def test_every_setting_has_an_effect(self, method: ObjectiveMethod, case: Case, train: Train) -> None:
        unread = []
        for name in method.Config.model_fields:
            under = case.under.get(name, {})
            if train(**under) == train(**{**under, name: another(method, case, name)}):
                unread.append(name)
        assert not unread, f"nothing reads {unread}"

    def test_wrong_settings_are_refused_by_name(self, kind: str, method: ObjectiveMethod, case: Case) -> None:
        def refused(name: str, value: Any, words: str) -> None:
            recipe = Recipe.model_validate({"stages": [recipe_stage(kind, method, case, 0.0, {name: value})]})
            with pytest.raises(UsageError, match=words) as caught:
                check_recipe(recipe)
            assert caught.value.hint

        refused("no_such_setting", 1, f"'{kind}' has no setting 'no_such_setting'")
        for name, said in method.Config.model_json_schema()["properties"].items():
            for value in impossible(said):
                refused(name, value, f"'{kind}' cannot have {name}")


def recipe_stage(kind: str, method: ObjectiveMethod, case: Case, dropout: float, settings: Any) -> dict[str, Any]:
    """The stage as JSON, at the rate that the space takes by default."""
    return {
        "objective": {"kind": kind, **case.settings, **settings},
        "adapter": {"kind": "lora", "rank": 4, "dropout": dropout},
        "optimisation": {
            "lr": 3e-3 * method.lr_scale,
            "batch_size": 4,
            "steps": STEPS,
            "precision": "fp32",
            **case.optimisation,
        },
    }
