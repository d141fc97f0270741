"""Recipes of several stages: an adapter that goes on, an adapter that is merged, and what is left of each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.agents.stage_cache import StageCache
from tunewright.domain.errors import UsageError
from tunewright.domain.job import CodeIdentity, Rungs, TrialSpec
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.recipe import Recipe
from tunewright.tools.data.rows import load_rows
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.adapter import attach, kind_of
from tunewright.tools.models.load import load_model
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.registry import check_recipe
from tunewright.tools.training.stop import Stop

Make = Callable[..., Any]
CODES = {said: code for code, said in EXIT_CODES.items()}


def stage(carry: str = "merge", kind: str = "lora", **optimisation: Any) -> dict[str, Any]:
    given = {"lr": 3e-3, "batch_size": 4, "steps": 4, "precision": "fp32", **optimisation}
    settings = {} if kind == "full" else {"rank": 4}
    return {"adapter": {"kind": kind, **settings}, "optimisation": given, "carry": carry}


def test_a_continued_adapter_is_one_adapter(make_job: Make) -> None:
    job = make_job("job", stage(), stage("continue"))
    assert main(job.argv) == CODES["done"]
    assert kind_of(job.out / "adapter") == "peft"
    assert sorted(path.name for path in job.out.iterdir() if path.is_dir()) == ["adapter", "prefix"]
    assert job.result().steps == 8


def test_the_second_stage_begins_where_the_first_ended(make_job: Make) -> None:
    """With one constant rate and no warm-up, the loss goes on falling from where it was, whatever the carry."""
    losses = {}
    for carry in ("merge", "continue"):
        job = make_job(carry, stage(schedule="constant"), stage(carry, lr=1e-12, schedule="constant"))
        assert main(job.argv) == 0
        losses[carry] = [point["loss"] for point in job.curve()]
    assert losses["merge"][:4] == losses["continue"][:4]
    assert losses["merge"][4:] == pytest.approx(losses["continue"][4:], rel=1e-4)
    assert max(losses["continue"][4:]) < losses["continue"][0]


@pytest.mark.parametrize("carry", ["merge", "continue"])
def test_every_stage_computes_in_its_precision(make_job: Make, carry: str) -> None:
    """A model that one trainer had wrapped is wrapped again by the next one."""
    exact, coarse = (
        make_job(name, stage(precision=name), stage(carry, precision=name), stage(carry, precision=name))
        for name in ("fp32", "bf16")
    )
    assert main(exact.argv) == 0 and main(coarse.argv) == CODES["done"], coarse.result().fault
    pairs = list(zip(exact.curve(), coarse.curve(), strict=True))
    assert all(one["loss"] != other["loss"] for one, other in pairs)
    assert all(one["loss"] == pytest.approx(other["loss"], rel=0.05) for one, other in pairs)


@pytest.mark.parametrize("carry", ["merge", "continue"])
def test_what_is_attached_is_what_was_measured(make_job: Make, carry: str) -> None:
    job = make_job("job", stage(), stage(carry), stage(carry))
    assert main(job.argv) == 0
    spec = json.loads((job.folder / "spec.json").read_text())
    from tunewright.domain.task import TaskSpec

    model, tokenizer = load_model(job.model)
    rows = load_rows(job.folder / "in" / "val.jsonl")
    found, _ = measure(
        attach(model, job.out / "adapter"), tokenizer, rows, TaskSpec.model_validate(spec["task"]), step=12
    )
    assert found.value == job.result().measurement.value


@pytest.mark.parametrize("carry", ["merge", "continue"])
@pytest.mark.parametrize("after", [2, 4, 6])
def test_a_stop_in_any_stage_changes_nothing(
    make_job: Make, carry: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = make_job("whole", stage(), stage(carry)), make_job("halves", stage(), stage(carry))
    assert main(whole.argv) == 0
    curve = halves.out / "curve.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__bool__", lambda self: curve.exists() and len(curve.read_text().splitlines()) >= after)
        assert main(halves.argv) == CODES["paused"]
    assert main(halves.argv) == CODES["done"]
    assert whole.curve() == halves.curve()
    assert whole.result().adapter_digest == halves.result().adapter_digest
    assert whole.result().measurement.value == halves.result().measurement.value


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([stage("continue")], "no adapter to continue"),
        ([stage(), {**stage("continue"), "adapter": {"kind": "lora", "rank": 8}}], "must have the adapter"),
    ],
)
def test_a_recipe_that_cannot_be_is_none(stages: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Recipe.model_validate({"stages": stages})


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([stage(kind="full"), stage("continue", kind="full")], "phases of its own|cannot be continued"),
        (
            [
                {**stage(), "adapter": {"kind": "sdslora", "rank": 4}},
                {**stage("continue"), "adapter": {"kind": "sdslora", "rank": 4}},
            ],
            "cannot be continued",
        ),
        ([{**stage(), "adapter": {"kind": "cera", "rank": 4}}, stage()], "no stage can follow 'cera'"),
    ],
)
def test_methods_that_do_not_go_together_are_refused(stages: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_recipe(Recipe.model_validate({"stages": stages}))


def test_what_cannot_be_merged_can_be_continued(make_job: Make) -> None:
    cera = {"kind": "cera", "rank": 4}
    job = make_job("job", {**stage(), "adapter": cera}, {**stage("continue"), "adapter": cera})
    assert main(job.argv) == CODES["done"]
    assert kind_of(job.out / "adapter") == "peft"


def test_a_stage_that_another_trial_has_trained_is_not_trained_again(make_job: Make) -> None:
    first = make_job("first", stage(), stage(lr=1e-3))
    alone, sharing = (make_job(name, stage(), stage("continue", steps=3)) for name in ("alone", "sharing"))
    assert main(first.argv) == main(alone.argv) == 0
    shutil.copytree(first.out / "prefix" / "0", sharing.folder / "in" / "prefix")
    for path in (sharing.folder / "in").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)  # as a sandbox mounts it
    assert main(sharing.argv) == 0
    assert sharing.curve() == alone.curve()
    theirs, ours = alone.result(), sharing.result()
    assert (ours.adapter_digest, ours.curve_digest) == (theirs.adapter_digest, theirs.curve_digest)
    assert (ours.steps, ours.shared_steps, theirs.shared_steps) == (7, 4, 0)
    assert ours.tokens == theirs.tokens and ours.shared_s > 0 == theirs.shared_s
    assert sharing.events("progressed")[0].step > 4 >= alone.events("progressed")[0].step
    assert any("earlier trial" in note.message for note in sharing.events("noted"))


def test_stages_are_shared_by_what_decides_them(make_job: Make) -> None:
    def spec(**change: Any) -> TrialSpec:
        found = TrialSpec.model_validate_json((job.folder / "spec.json").read_bytes())
        return found.model_copy(update=change)

    job = make_job("job", stage(), stage(lr=1e-3))
    key = spec().stage_key(0)
    other = spec().recipe.model_copy(update={"stages": (spec().recipe.stages[0], spec().recipe.stages[0])})
    assert spec(recipe=other, id="t9").stage_key(0) == key != spec().stage_key(1)
    assert spec(rungs=Rungs(steps=(1,))).stage_key(0) == key, "looking changes no weight"
    assert spec(recipe=spec().recipe.reseeded(9)).stage_key(0) != key
    assert spec(sandbox="docker").stage_key(0) != key
    more = spec().limits.model_copy(update={"threads": 2})
    assert spec(limits=more).stage_key(0) != key, "sums of floats depend on the threads"
    assert spec(code=CodeIdentity(version="0", digest="1")).stage_key(0) != key


def test_the_cache_gives_the_longest_beginning(make_job: Make, tmp_path: Path) -> None:
    job = make_job("job", stage(), stage(), stage())
    spec = TrialSpec.model_validate_json((job.folder / "spec.json").read_bytes())
    cache = StageCache(tmp_path / "study")
    assert cache.inputs(spec) == {}
    assert main(job.argv) == 0
    cache.collect(spec, job.out)
    assert not (job.out / "prefix").exists()
    (found,) = cache.inputs(spec).values()
    assert found.name == spec.stage_key(1) and (found / "stages" / "1").is_dir()
    cache.collect(spec, job.out)  # nothing is left to collect, and nothing is lost
    assert cache.inputs(spec) == {"prefix": found}
