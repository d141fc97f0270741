"""The trial contract, with real training of the tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.domain.job import Rungs
from tunewright.domain.outcome import EXIT_CODES, Item
from tunewright.domain.recipe import Adapter
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import load_rows
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.adapter import attach, digest_adapter, kind_of
from tunewright.tools.models.facts import facts
from tunewright.tools.models.load import load_model
from tunewright.tools.training.__main__ import main
from tunewright.tools.training.registry import adapter, adapters
from tunewright.tools.training.stop import Interrupted, Stop

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]


def stage(kind: str = "lora", **optimisation: Any) -> dict[str, Any]:
    known = adapter(kind).Config.model_fields
    settings = {name: value for name, value in (("rank", 4), ("dropout", 0.2)) if name in known}
    given = {"lr": 3e-3, "batch_size": 4, "steps": 6, "precision": "fp32", **optimisation}
    return {"adapter": {"kind": kind, **settings}, "optimisation": given}


def spec_of(job: Any) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((job.folder / "spec.json").read_text())
    return spec


def rewrite(job: Any, spec: dict[str, Any]) -> None:
    (job.folder / "spec.json").write_text(json.dumps(spec))


def test_a_finished_job_says_what_it_did(make_job: Make) -> None:
    job = make_job("job", stage(steps=8), rungs=Rungs(steps=(2, 4, 8, 99), rows=3))
    assert main(job.argv) == CODES["done"]
    result = job.result()
    assert (result.status, result.steps, result.total_steps) == ("done", 8, 8)
    assert result.adapter_digest == digest_adapter(job.out / "adapter")
    assert result.adapter_bytes > 0 and result.peak_memory_gib > 0 and result.train_s > 0
    measured = job.events("measured")
    assert [(m.measurement.step, m.measurement.rows, m.final) for m in measured] == [
        (2, 3, False),
        (4, 3, False),
        (8, 9, True),
    ]
    assert result.measurement == measured[-1].measurement
    assert [point["step"] for point in job.curve()] == list(range(1, 9))
    items = [Item.model_validate_json(line) for line in (job.out / "items.jsonl").read_text().splitlines()]
    assert sum(item.score for item in items) / 9 == pytest.approx(result.measurement.value)
    assert job.events("progressed")[-1].step == 8
    assert job.events("started")[0].resumed_from == 0
    assert not (job.out / "checkpoint").exists(), "a finished job keeps no checkpoint"
    assert "<eos>'; " in job.events("noted")[0].message, "preflight shows that the end token is trained"


def test_equal_specs_give_equal_bytes_and_another_seed_does_not(make_job: Make) -> None:
    first, second, other = make_job("one"), make_job("two"), make_job("three", seed=2)
    assert {main(job.argv) for job in (first, second, other)} == {0}
    assert first.curve() == second.curve() != other.curve()
    assert first.result().adapter_digest == second.result().adapter_digest != other.result().adapter_digest
    assert first.result().curve_digest == second.result().curve_digest


def test_sigterm_in_the_middle_and_resume_is_as_if_nothing_had_happened(make_job: Make) -> None:
    plan = (stage("lora", steps=40), stage("dora", steps=10))
    straight, broken = (make_job(name, *plan, rungs=Rungs(steps=(10, 45), rows=3)) for name in ("straight", "broken"))
    assert main(straight.argv) == 0

    def terminate() -> None:
        while not (broken.out / "curve.jsonl").exists() or len(broken.curve()) < 12:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=terminate)
    watcher.start()
    assert main(broken.argv) == CODES["paused"]
    watcher.join()
    paused = broken.result()
    assert paused.status == "paused" and 12 <= paused.steps < 40
    assert broken.events("checkpointed")[-1].step == paused.steps
    assert main(broken.argv) == 0
    assert broken.events("started")[-1].resumed_from == paused.steps
    assert broken.curve() == straight.curve()
    assert broken.result().adapter_digest == straight.result().adapter_digest
    assert broken.result().measurement.value == straight.result().measurement.value
    assert broken.result().tokens == straight.result().tokens
    assert [m.measurement.step for m in broken.events("measured")] == [10, 45, 50]


def test_killed_and_started_again_it_goes_on_from_the_last_rung(make_job: Make) -> None:
    plan = stage(steps=400, batch_size=2)
    straight, job = (make_job(name, plan, rungs=Rungs(steps=(5,), rows=3)) for name in ("straight", "killed"))
    command = [sys.executable, "-m", "tunewright.tools.training", *job.argv]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not ((job.out / "curve.jsonl").exists() and len(job.curve()) > 7):
            time.sleep(0.005)
        process.kill()
    assert not (job.out / "result.json").exists(), "the kill came too late to test anything"
    assert main(job.argv) == main(straight.argv) == 0
    assert job.events("started")[-1].resumed_from == 5
    assert job.curve() == straight.curve()
    assert job.result().adapter_digest == straight.result().adapter_digest
    assert [m.measurement.step for m in job.events("measured")] == [5, 400], "the rung is not measured twice"


@pytest.mark.parametrize("kind", adapters())
def test_every_adapter_trains_what_it_declares_and_loads_back(make_job: Make, kind: str) -> None:
    job = make_job("job", stage(kind, steps=4))
    assert main(job.argv) == 0
    result, recipe = job.result(), spec_of(job)["recipe"]["stages"][0]["adapter"]
    declared = adapter(kind).trainable_parameters(facts(job.model), Adapter.model_validate(recipe))
    assert result.trainable_parameters == declared
    model, tokenizer = load_model(job.model, device="cpu")
    model = attach(model, job.out / "adapter")
    task = TaskSpec.model_validate(spec_of(job)["task"])
    found, _ = measure(model, tokenizer, load_rows(job.folder / "in" / "val.jsonl"), task, step=4)
    assert found.value == result.measurement.value
    texts = [file.read_text() for file in (job.out / "adapter").glob("*.json")]
    assert texts and not any(str(job.model) in text for text in texts), "no path of this machine is saved"


def test_stages_are_kept_apart_and_attach_puts_them_together(make_job: Make) -> None:
    job = make_job("job", stage("full", steps=2, lr=1e-3), stage("lora", steps=2))
    assert main(job.argv) == 0
    assert kind_of(job.out / "adapter") == "stages"
    assert [kind_of(job.out / "adapter" / name) for name in ("0", "1")] == ["full", "peft"]
    assert job.result().total_steps == 4 and len(job.curve()) == 4
    assert digest_adapter(job.out / "adapter") == job.result().adapter_digest


def test_bf16_computes_in_bf16_and_keeps_fp32_weights(make_job: Make) -> None:
    from safetensors.torch import load_file

    exact, coarse = make_job("fp32"), make_job("bf16", stage(precision="bf16"))
    assert main(exact.argv) == 0 and main(coarse.argv) == 0
    assert coarse.result().precision == "bf16" == coarse.events("started")[0].precision
    assert coarse.curve()[0]["loss"] != exact.curve()[0]["loss"]
    assert coarse.curve()[0]["loss"] == pytest.approx(exact.curve()[0]["loss"], rel=0.02)
    saved = load_file(coarse.out / "adapter" / "adapter_model.safetensors")
    assert {str(tensor.dtype) for tensor in saved.values()} == {"torch.float32"}


@pytest.mark.parametrize("kind", ["lora", "ia3"])
def test_frozen_weights_in_bf16_change_no_number(make_job: Make, kind: str) -> None:
    # An earlier stage keeps its base in fp32, since it will be merged; a last one narrows it.
    narrowed = make_job("narrowed", stage(kind, precision="bf16"), rungs=Rungs(steps=(3,), rows=5))
    kept = make_job("kept", stage(kind, precision="bf16"), stage(steps=1), rungs=Rungs(steps=(3,), rows=5))
    assert main(narrowed.argv) == main(kept.argv) == 0
    assert narrowed.curve() == kept.curve()[:6]
    assert digest_adapter(narrowed.out / "adapter") == digest_adapter(kept.out / "adapter" / "0")
    rungs = [job.events("measured")[0].measurement for job in (narrowed, kept)]
    assert rungs[0].value == rungs[1].value and rungs[0].low == rungs[1].low


def test_weights_of_the_mix_decide_what_is_seen(make_job: Make) -> None:
    plan = stage(steps=7, batch_size=4) | {"data": {"weights": [1.0, 0.0]}}
    job = make_job("job", plan, sources=("a", "b"))
    assert main(job.argv) == 0
    nothing = make_job("none", stage() | {"data": {"weights": [0.5, 0.5]}}, sources=("a",))
    assert main(nothing.argv) == CODES["data"]


def _break(job: Any, **changes: Any) -> None:
    spec = spec_of(job)
    for path, value in changes.items():
        here = spec
        *parents, last = path.split("__")
        for key in parents:
            here = here[int(key)] if isinstance(here, list) else here[key]
        here[last] = value
    rewrite(job, spec)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"recipe__stages__0__adapter": {"kind": "lora", "rnk": 4}}, "config", "'lora' has no setting 'rnk'"),
        ({"recipe__stages__0__adapter": {"kind": "lore"}}, "config", "unknown adapter 'lore'"),
        ({"recipe__stages__0__adapter__placement": "heads"}, "config", "no placement 'heads'"),
        ({"data__train__digest": "0" * 64}, "data", "not the data that was approved"),
        ({"limits__gpus": 1}, "infra", "none can be used"),
        ({"task__metric__name": "accuracies"}, "config", "unknown metric"),
    ],
)
def test_faults_name_who_is_to_blame(make_job: Make, changes: dict[str, Any], kind: str, words: str) -> None:
    job = make_job("job")
    _break(job, **changes)
    assert main(job.argv) == CODES[kind]
    result = job.result()
    assert result.status == "failed" and result.fault is not None
    assert result.fault.kind == kind and words in result.fault.message


def test_a_loss_that_is_no_number_tells_its_step(make_job: Make) -> None:
    job = make_job("job", stage("full", lr=1e30, warmup_ratio=0.0))
    assert main(job.argv) == CODES["config"]
    fault = job.result().fault
    assert fault is not None and fault.step is not None and 1 <= fault.step <= 6
    assert len(job.curve()) == fault.step - 1


def test_empty_splits_are_the_datas_fault(make_job: Make) -> None:
    for name, sizes in (("train", {"train": 0}), ("val", {"val": 0})):
        job = make_job(name, **sizes)
        assert main(job.argv) == CODES["data"]


def test_a_missing_spec_is_the_machines_fault(tmp_path: Path, make_job: Make) -> None:
    job = make_job("job")
    (job.folder / "spec.json").unlink()
    assert main(job.argv) == CODES["infra"]


def test_the_time_limit_pauses_instead_of_losing_work(make_job: Make) -> None:
    job = make_job("job", stage(steps=5000), limits={"wall_s": 2.0})
    assert main(job.argv) == CODES["paused"]
    result = job.result()
    assert 0 < result.steps < 5000 and any((job.out / "checkpoint").iterdir())


def test_a_job_that_lost_its_result_measures_its_adapter_again(make_job: Make) -> None:
    job = make_job("job", stage(steps=3), stage("ia3", steps=3))
    assert main(job.argv) == 0
    first = job.result()
    (job.out / "result.json").unlink()
    assert main(job.argv) == 0
    again = job.result()
    same = ("steps", "total_steps", "tokens", "adapter_digest", "adapter_bytes", "curve_digest")
    assert [getattr(again, name) for name in same] == [getattr(first, name) for name in same]
    assert again.measurement.value == first.measurement.value
    assert len(job.curve()) == 6 and job.events("started")[-1].resumed_from == 6


def test_a_measurement_is_left_when_it_is_time_to_stop() -> None:
    stop = Stop()
    stop.check(1, 2)
    stop.ask()
    stop.check(2, 2)  # what is complete is kept
    with pytest.raises(Interrupted):
        stop.check(1, 2)
    assert not Stop(time.monotonic() + 60) and Stop(time.monotonic())


def test_rows_longer_than_the_limit_are_counted_and_said(make_job: Make) -> None:
    job = make_job("job", task={"max_length": 10})
    assert main(job.argv) == 0
    warnings = [event.message for event in job.events("noted") if event.level == "warning"]
    assert len(warnings) == 1 and "of 30 training rows are longer than 10 tokens" in warnings[0]


def test_a_chat_task_learns_through_the_chat_template(make_job: Make) -> None:
    job = make_job("job", task={"template": "chat"})
    assert main(job.argv) == 0
    assert "user: " in job.events("noted")[0].message and "<turn>" in job.events("noted")[0].message
