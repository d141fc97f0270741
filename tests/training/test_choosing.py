"""Every selector and every mix policy in a job: chosen once, charged, written down, and the model left as it was."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy
import pytest
import torch
from tests.training.chosen import select
from tests.training.planted import COMPLETION, mixed

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Float, Int
from tunewright.tools.contract import FaultError, Output, read_spec
from tunewright.tools.models.load import load_model
from tunewright.tools.models.prompt import template
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.batch import stage_data
from tunewright.tools.training.choosing import Chooser
from tunewright.tools.training.registry import check_recipe, mix_policy, mixes, selector, selectors
from tunewright.tools.training.selector import Work
from tunewright.tools.training.space import Wanted, recipe_space
from tunewright.tools.training.stop import Stop
from tunewright.tools.training.trial import open_progress

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]
SOURCES = {"sources": [{"path": f"{name}.jsonl", "name": name} for name in ("one", "two", "noise")]}
ROWS = mixed(clean=12, noise=12)
SMALL: dict[str, dict[str, Any]] = {
    "dwm": {"update_every": 2},
    "less": {"epochs": 1, "warmup": 0.2},
    "doremi": {"share": 0.3},
    "regmix": {"mixtures": 6, "proxy_steps": 2, "simulated": 200, "best": 8},
    "mixing_laws": {"mixtures": 6, "proxy_steps": 2},
    "aioli": {"rounds": 2, "sweep_steps": 2},
}
"""Settings for a job of seconds."""
CHOSEN = [("selection", kind) for kind in selectors() if kind != "all"]
CHOSEN += [("policy", kind) for kind in mixes() if kind != "given"]


def stage(where: str, kind: str, steps: int = 16, **settings: Any) -> dict[str, Any]:
    keep = {"keep": 0.5} if where == "selection" else {}
    chosen = {"kind": kind, **keep, **SMALL.get(kind, {}), **settings}
    return {
        "adapter": {"kind": "lora", "rank": 4, "dropout": 0.1},
        "data": {where: chosen},
        "optimisation": {"lr": 3e-3, "batch_size": 4, "steps": steps, "precision": "fp32"},
    }


def make(make_job: Make, name: str, *stages: dict[str, Any], rows: Any = ROWS, **more: Any) -> Any:
    return make_job(name, *stages, own=rows, task={**COMPLETION, **SOURCES}, **more)


def method(where: str, kind: str) -> Any:
    return selector(kind) if where == "selection" else mix_policy(kind)


@pytest.mark.parametrize(("where", "kind"), [*CHOSEN, ("selection", "all"), ("policy", "given")])
def test_it_says_what_it_is_and_what_it_costs(where: str, kind: str) -> None:
    one = method(where, kind)
    assert one.kind == kind and one.summary and one.paper and one.names
    passes = one.passes(one.Config(), Work(rows=1000, steps=200, batch_size=8))
    assert passes >= 0
    assert (passes == 0) == (kind in {"all", "given", "random", "length", "dedup", "dsir", "uniform", "temperature"})


@pytest.mark.parametrize(("where", "kind"), CHOSEN)
def test_its_dimensions_are_settings_it_has(where: str, kind: str) -> None:
    one = method(where, kind)
    for dimension in one.dimensions("stages.0"):
        name = dimension.path.removeprefix(f"stages.0.data.{where}.")
        assert name in one.Config.model_fields and dimension.why
        assert getattr(one.Config(), name) == dimension.default, f"{name} has two defaults"
        ends = [dimension.low, dimension.high] if isinstance(dimension, Float | Int) else dimension.options
        for value in (*ends, dimension.default):
            assert dimension.holds(value)
            one.Config.model_validate({name: value})
        assert isinstance(dimension, Choice | Float | Int)


def test_the_host_asks_without_torch() -> None:
    code = (
        "import sys\n"
        "from tunewright.tools.training import registry as r\n"
        "for kind in r.selectors(): r.selector(kind).dimensions('stages.0')\n"
        "for kind in r.mixes(): r.mix_policy(kind).dimensions('stages.0')\n"
        "heavy = {'torch', 'transformers', 'peft', 'trl', 'datasets', 'sklearn', 'scipy'}\n"
        "found = sorted(heavy & sys.modules.keys())\n"
        "sys.exit(f'it imports {found}' if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_kind_is_searched() -> None:
    """A space over all selectors and policies, whose every default is a recipe."""
    wanted = Wanted(adapters=("lora",), sources=("a", "b"), selectors=selectors(), mixes=mixes())
    space = recipe_space(wanted)
    for kind in selectors():
        recipe = space.build(space.default(selector=kind))
        assert recipe.stages[0].data.selection.kind == kind
        check_recipe(recipe)
    for kind in mixes():
        recipe = space.build(space.default(mix_policy=kind))
        assert recipe.stages[0].data.policy.kind == kind and bool(recipe.stages[0].data.weights) == (kind == "given")
        check_recipe(recipe)


@pytest.mark.parametrize(("where", "kind"), CHOSEN)
def test_wrong_settings_are_refused_by_name(where: str, kind: str) -> None:
    def refused(settings: Mapping[str, Any], words: str) -> None:
        made = {"data": {where: {"kind": kind, **settings}}, "optimisation": {"lr": 1e-3, "steps": 40}}
        with pytest.raises(UsageError, match=words) as caught:
            check_recipe(Recipe.model_validate({"stages": [made]}))
        assert caught.value.hint

    refused({"no_such_setting": 1}, f"'{kind}' has no setting 'no_such_setting'")
    for name, said in method(where, kind).Config.model_json_schema().get("properties", {}).items():
        wrong = [said[bound] for bound in ("exclusiveMinimum", "exclusiveMaximum") if bound in said]
        wrong += [said[bound] + off for bound, off in (("minimum", -1), ("maximum", 1)) if bound in said]
        for value in [*wrong, {"no": "value"}]:
            refused({name: value}, f"'{kind}' cannot have {name}")


@pytest.mark.parametrize(("where", "kind"), CHOSEN)
def test_a_stop_changes_nothing_and_nothing_is_chosen_again(
    make_job: Make, where: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = (make(make_job, name, stage(where, kind)) for name in ("whole", "halves"))
    assert main(whole.argv) == CODES["done"], whole.result().fault
    curve = halves.out / "curve.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__bool__", lambda self: curve.exists() and len(curve.read_text().splitlines()) >= 5)
        assert main(halves.argv) == CODES["paused"]
        patched.undo()
        name = "select" if where == "selection" else "weigh"
        patched.setattr(type(method(where, kind)), name, lambda *given: pytest.fail("it is chosen again"))
        assert main(halves.argv) == CODES["done"], halves.result().fault
    assert whole.curve() == halves.curve()
    assert whole.result().adapter_digest == halves.result().adapter_digest
    assert any("before" in event.message for event in halves.events("noted"))


@pytest.mark.parametrize(("where", "kind"), CHOSEN)
def test_what_was_chosen_is_written_down_and_told(make_job: Make, where: str, kind: str) -> None:
    job = make(make_job, "job", stage(where, kind))
    assert main(job.argv) == CODES["done"], job.result().fault
    told = [event.message for event in job.events("noted") if f"'{kind}'" in event.message]
    assert told and " s" in told[0]
    ids = {row["id"] for row in ROWS}
    if where == "selection":
        said = json.loads((job.out / "selection-0.json").read_text())
        assert said["kind"] == kind and set(said["kept"]) <= ids and 1 <= len(said["kept"]) <= len(ids) // 2
        assert len(said["kept"]) == len(set(said["kept"]))
    else:
        said = json.loads((job.out / "mix-0.json").read_text())
        assert said["kind"] == kind and sum(said["weights"].values()) == pytest.approx(1)
        assert list(said["weights"]) == ["one", "two", "noise"] and set(said["held"]) <= ids
    assert 0 <= said["seconds"] < job.result().setup_s


def chooser(job: Any, seed: int | None = None) -> tuple[Chooser, Any]:
    """As a job has it before its first stage."""
    spec = read_spec(job.folder)
    if seed is not None:
        spec = spec.model_copy(update={"recipe": spec.recipe.reseeded(seed)})
    progress = open_progress(spec, Output(job.folder), Stop(), 0.0)
    model, progress.tokenizer = load_model(job.model, device="cpu")
    return Chooser(progress, model, 0, len(ROWS)), template(spec.task, progress.tokenizer)


def chosen(job: Any, where: str, seed: int | None = None, rows: Any = ROWS) -> Any:
    """What is chosen, with a check that nothing else has changed."""
    made, form = chooser(job, seed)
    for module in made.model.modules():
        module.training = True
    weights = {name: weight.clone() for name, weight in made.model.state_dict().items()}
    flags = [weight.requires_grad for weight in made.model.parameters()]
    states = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state()
    task, progress = made.progress.spec.task, made.progress
    data = stage_data(rows, task, made.stage, 0, made.seed, progress.tokenizer, made.select, made.weigh)
    after = made.model.state_dict()
    assert weights.keys() == after.keys() and all(torch.equal(weights[name], after[name]) for name in weights)
    assert flags == [weight.requires_grad for weight in made.model.parameters()]
    assert all(module.training for module in made.model.modules()), "modes are as they were"
    assert all(weight.grad is None for weight in made.model.parameters())
    assert states[0] == random.getstate() and states[1] == numpy.random.get_state()[1].tolist()
    assert torch.equal(states[2], torch.get_rng_state())
    assert form.task == task
    return list(data.sources.places) if where == "selection" else data.weights  # type: ignore[union-attr]


@pytest.mark.parametrize(("where", "kind"), CHOSEN)
def test_a_choice_is_of_its_seed_and_leaves_the_model_as_it_was(make_job: Make, where: str, kind: str) -> None:
    first, again = (chosen(make(make_job, name, stage(where, kind)), where) for name in ("first", "again"))
    assert first == again
    drawn = {"random", "loss_band", "dedup", "dsir", "dwm", "doremi", "regmix"}
    if kind in drawn:
        assert chosen(make(make_job, "other", stage(where, kind)), where, seed=77) != first


OTHER: dict[str, dict[str, Any]] = {
    "dedup": {"threshold": 0.3, "by": "embedding", "of": "input", "shingle": 1},
    "dsir": {"target": ["noise"], "hold_out": 0.2, "most_held": 1, "buckets": 2, "smoothing": 9.0, "resample": False},
    "length": {"prefer": "short", "of": "row"},
    "less": {
        "target": ["noise"], "hold_out": 0.2, "most_held": 1, "warmup": 0.9, "epochs": 3, "rank": 1, "lr": 0.1,
        "numbers": 4,
    },
    "loss_band": {"low": 0.45, "high": 0.6},
    "temperature": {"temperature": 1.0, "most_repeats": 1.0},
    "doremi": {"rank": 1, "lr": 0.1, "share": 0.1, "eta": 9.0, "smoothing": 0.9},
    "regmix": {
        "hold_out": 0.2, "val_rows": 1, "rank": 1, "lr": 0.1, "mixtures": 5, "proxy_steps": 1, "target": ["noise"],
        "simulated": 400, "best": 1,
    },
    "mixing_laws": {
        "hold_out": 0.2, "val_rows": 1, "rank": 1, "lr": 0.1, "mixtures": 5, "proxy_steps": 1, "target": ["noise"],
        "most_repeats": 0.5,
    },
}  # fmt: skip
"""Values of settings that make another choice. Those of dwm and Aioli show in the training below."""
UNDER: dict[str, dict[str, Any]] = {
    "dsir": {"hold_out": 0.4}, "less": {"keep": 0.2, "hold_out": 0.4, "lr": 1e-2}, "regmix": {"hold_out": 0.4},
    "mixing_laws": {"hold_out": 0.4, "most_repeats": 1000.0, "lr": 1e-2}, "temperature": {"most_repeats": 1000.0},
    "dwm": {"hold_out": 0.4}, "aioli": {"hold_out": 0.4, "eta": 4.0},
}  # fmt: skip
"""What else is set, so that they can."""


@pytest.mark.parametrize(("where", "kind"), [pair for pair in CHOSEN if pair[1] in OTHER])
def test_every_setting_has_an_effect(make_job: Make, where: str, kind: str) -> None:
    assert method(where, kind).Config.model_fields.keys() == OTHER[kind].keys()
    rows = [*mixed(clean=4, noise=0), *mixed(clean=0, noise=30)] if kind == "temperature" else ROWS

    def made(name: str, **settings: Any) -> Any:
        job = make(make_job, name, stage(where, kind, **{**UNDER.get(kind, {}), **settings}), rows=numbered(rows))
        return chosen(job, where, rows=numbered(rows))

    usual, unread = made("usual"), []
    for number, (name, value) in enumerate(OTHER[kind].items()):
        if made(f"job{number}", **{name: value}) == usual:
            unread.append(name)
    assert not unread, f"nothing reads {unread}"


def numbered(rows: Any) -> Any:
    return [{**row, "id": f"{number:016x}"} for number, row in enumerate(rows)]


DURING: dict[str, tuple[str, dict[str, Any]]] = {
    "dwm": (
        "selection",
        {
            "target": ["noise"], "hold_out": 0.2, "most_held": 1, "update_every": 3, "width": 4, "lr": 0.3,
            "temperature": 9.0, "val_rows": 1,
        },
    ),
    "aioli": (
        "policy",
        {
            "hold_out": 0.2, "val_rows": 1, "rounds": 1, "sweeps": 2, "sweep_steps": 1, "lean": 0.9, "eta": 0.3,
            "ema": 0.5,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(DURING))
def test_every_setting_has_an_effect_on_training(make_job: Make, kind: str) -> None:
    where, others = DURING[kind]
    assert method(where, kind).Config.model_fields.keys() == others.keys()

    def curve(name: str, **settings: Any) -> Any:
        job = make(make_job, name, stage(where, kind, steps=32, **{**UNDER[kind], **settings}))
        assert main(job.argv) == CODES["done"], job.result().fault
        return job.curve()

    usual, unread = curve("usual"), []
    for number, (name, value) in enumerate(others.items()):
        if curve(f"job{number}", **{name: value}) == usual:
            unread.append(name)
    assert not unread, f"nothing reads {unread}"


def test_the_time_of_later_stages_is_charged_too(make_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    real = type(selector("random")).select

    def slow(self: Any, *given: Any) -> Any:
        time.sleep(0.4)
        return real(self, *given)

    monkeypatch.setattr(type(selector("random")), "select", slow)
    plain, slowly = stage("selection", "all", 2, keep=1.0), stage("selection", "random", 2)
    first = make(make_job, "first", slowly, {**plain, "carry": "continue"})
    later = make(make_job, "later", plain, slowly)
    for job in (first, later):
        assert main(job.argv) == CODES["done"], job.result().fault
        result = job.result()
        assert result.setup_s > 0.4 and result.train_s < result.setup_s + 10
    assert not (first.out / "selection-1.json").exists() and (later.out / "selection-1.json").exists()
    said = json.loads((later.out / "selection-1.json").read_text())
    assert said["seconds"] >= 0.4


def test_steps_follow_the_share_that_is_kept(make_job: Make) -> None:
    made = stage("selection", "random", keep=0.25)
    made["optimisation"] = {"lr": 3e-3, "batch_size": 3, "epochs": 2.0, "precision": "fp32"}
    job = make(make_job, "job", made)
    assert main(job.argv) == CODES["done"]
    assert len(json.loads((job.out / "selection-0.json").read_text())["kept"]) == 9
    assert job.result().steps == job.result().total_steps == 6, "2 epochs of 9 of 36 rows, 3 at a time"


def test_a_selection_that_keeps_nothing_is_a_typed_fault(make_job: Make, tiny: Found) -> None:
    """Rows whose prompts make their answers less likely, every one of them."""
    kept = select(tiny, ROWS, "ifd", 1.0)
    harmful = [row for place, row in enumerate(ROWS) if place not in kept]
    assert len(harmful) > 2, "else nothing is tested"
    job = make(make_job, "job", stage("selection", "ifd", keep=1.0), rows=harmful)
    assert main(job.argv) == CODES["config"]
    fault = job.result().fault
    assert fault.message == "the selection 'ifd' keeps no row" and fault.step == 0
    assert not (job.out / "selection-0.json").exists()


@pytest.mark.parametrize(("where", "kind"), [("selection", "less"), ("policy", "regmix"), ("policy", "doremi")])
def test_a_stop_while_choosing_pauses_the_job(
    make_job: Make, where: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, stopped = (make(make_job, name, stage(where, kind)) for name in ("straight", "stopped"))
    assert main(straight.argv) == CODES["done"]
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__bool__", lambda self: True)
        assert main(stopped.argv) == CODES["paused"]
    assert stopped.result().steps == 0 and not list(stopped.out.glob("*-0.json"))
    assert main(stopped.argv) == CODES["done"]
    assert stopped.curve() == straight.curve()


def test_a_choice_of_rows_that_are_gone_is_the_machines_fault(make_job: Make) -> None:
    job = make(make_job, "job", stage("selection", "random"))
    job.out.mkdir()
    (job.out / "selection-0.json").write_text(json.dumps({"kind": "random", "kept": ["f" * 16]}))
    made, form = chooser(job)
    with pytest.raises(FaultError, match="names 1 rows that are not there") as caught:
        made.select(ROWS, [form.encode(row) for row in ROWS], form)  # type: ignore[arg-type]
    assert caught.value.fault.kind == "infra"


@pytest.mark.parametrize(("where", "kind"), [("selection", "less"), ("policy", "doremi"), ("selection", "dwm")])
def test_a_continued_adapter_can_be_chosen_for(make_job: Make, where: str, kind: str) -> None:
    first = stage("selection", "all", 4, keep=1.0)
    second = {**stage(where, kind, 6), "carry": "continue"}
    job = make(make_job, "job", first, second)
    assert main(job.argv) == CODES["done"], job.result().fault
    assert job.result().steps == 10


def test_what_cannot_be_merged_cannot_be_copied() -> None:
    adapter = {"kind": "prompt_tuning"}
    first = {"adapter": adapter, "optimisation": {"lr": 1e-3, "steps": 1}}
    second = {**first, "carry": "continue", "data": {"selection": {"kind": "less"}}}
    with pytest.raises(UsageError, match="'less' trains on a copy of the model") as caught:
        check_recipe(Recipe.model_validate({"stages": [first, second]}))
    assert "carry: merge" in caught.value.hint


def test_selection_and_mix_work_together(make_job: Make) -> None:
    made = stage("selection", "dwm", 24)
    made["data"]["policy"] = {"kind": "aioli", **SMALL["aioli"]}
    job = make(make_job, "job", made)
    assert main(job.argv) == CODES["done"], job.result().fault
    kept = set(json.loads((job.out / "selection-0.json").read_text())["kept"])
    assert set(json.loads((job.out / "mix-0.json").read_text())["held"]) <= kept
    facts = job.events("progressed")[-1].facts
    assert {"least_weight", "mix.one", "mix.noise"} <= facts.keys()


@pytest.mark.parametrize(("where", "kind"), [("selection", "dwm"), ("policy", "aioli"), ("policy", "doremi")])
def test_it_computes_in_bf16(make_job: Make, where: str, kind: str) -> None:
    made = stage(where, kind)
    made["optimisation"]["precision"] = "bf16"
    job = make(make_job, "job", made)
    assert main(job.argv) == CODES["done"], job.result().fault
