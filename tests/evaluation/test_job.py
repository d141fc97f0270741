"""The evaluation job by its contract: what it writes, what it exits with, and whom it blames."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.evaluation.conftest import make_rows, make_task

from tunewright.domain.job import CodeIdentity, EvaluationSpec, Limits, SplitIdentity
from tunewright.domain.outcome import Item, JobResult
from tunewright.domain.task import TaskSpec
from tunewright.domain.trial_event import Measured, Noted, Progressed, Started, trial_event
from tunewright.tools.evaluation.__main__ import main
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.adapter import attach, digest_adapter, save_adapter
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found

Loaded = tuple[Any, Any]


def make_job(folder: Path, tiny: Found, task: TaskSpec, rows: list[dict[str, Any]], **changes: Any) -> EvaluationSpec:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    spec = EvaluationSpec(
        id="base",
        study="s",
        task=task,
        model=tiny.identity,
        limits=Limits(wall_s=60, memory_gib=4, threads=1),
        code=CodeIdentity(version="0", digest="0" * 64),
        sandbox="process",
        split="val",
        data=SplitIdentity(digest=hashlib.sha256(data).hexdigest(), rows=len(rows)),
        precision="fp32",
    ).model_copy(update=changes)
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "data.jsonl").write_bytes(data)
    (folder / "spec.json").write_text(spec.model_dump_json())
    return spec


def run(folder: Path, tiny: Found) -> tuple[int, JobResult]:
    code = main([str(folder), "--model", str(tiny.path)])
    return code, JobResult.model_validate_json((folder / "out" / "result.json").read_text())


def test_scores_the_base_model(tmp_path: Path, tiny: Found, loaded: Loaded) -> None:
    rows, task = make_rows(9), make_task("accuracy")
    make_job(tmp_path, tiny, task, rows)
    code, result = run(tmp_path, tiny)
    expected, items = measure(*loaded, rows, task, step=0)

    assert (code, result.status, result.fault) == (0, "done", None)
    assert result.measurement is not None
    assert result.measurement.model_copy(update={"seconds": 0}) == expected.model_copy(update={"seconds": 0})
    assert result.measurement.step == 0
    assert result.tokens > 9 * 4
    assert result.setup_s > 0 and result.eval_s > 0
    assert 0.05 < result.peak_memory_gib < 16
    assert (result.device, result.precision) == ("cpu", "fp32")

    lines = (tmp_path / "out" / "items.jsonl").read_text().splitlines()
    assert [Item.model_validate_json(line) for line in lines] == items
    told = [trial_event.validate_json(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert isinstance(told[0], Started) and told[0].threads == 1
    assert isinstance(told[-1], Measured) and told[-1].final
    steps = [(one.step, one.of) for one in told if isinstance(one, Progressed)]
    assert steps[-1] == (9, 9)


def test_scores_an_adapter(tmp_path: Path, tiny: Found, loaded: Loaded) -> None:
    model, tokenizer = loaded
    torch.manual_seed(0)
    wrapped = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    save_adapter(wrapped, tmp_path / "adapter", base="tiny")
    rows, task = make_rows(9), make_task("loss")
    digest = digest_adapter(tmp_path / "adapter")
    make_job(tmp_path / "job", tiny, task, rows, adapter_digest=digest)
    (tmp_path / "adapter").rename(tmp_path / "job" / "in" / "adapter")
    code, result = run(tmp_path / "job", tiny)
    assert (code, result.adapter_digest) == (0, digest)

    fresh = attach(load_model(tiny.path, device="cpu")[0], tmp_path / "job" / "in" / "adapter")
    expected, _ = measure(fresh, tokenizer, rows, task, step=0)
    base, _ = measure(load_model(tiny.path, device="cpu")[0], tokenizer, rows, task, step=0)
    assert result.measurement is not None
    assert result.measurement.value == pytest.approx(expected.value, abs=1e-5)
    assert abs(result.measurement.value - base.value) > 1e-3


def test_twice_is_the_same_to_the_last_bit(tmp_path: Path, tiny: Found) -> None:
    for name in ("a", "b"):
        make_job(tmp_path / name, tiny, make_task("loss"), make_rows(20))
        assert run(tmp_path / name, tiny)[0] == 0
    assert (tmp_path / "a/out/items.jsonl").read_bytes() == (tmp_path / "b/out/items.jsonl").read_bytes()


def test_a_row_that_was_cut_is_told(tmp_path: Path, tiny: Found) -> None:
    rows = make_rows(3)
    rows[1]["input"] = "long " * 400
    make_job(tmp_path, tiny, make_task("accuracy", max_length=64), rows)
    assert run(tmp_path, tiny)[0] == 0
    told = [trial_event.validate_json(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert any(isinstance(one, Noted) and "1 of 3 rows" in one.message and one.level == "warning" for one in told)


@pytest.mark.parametrize(
    ("spoil", "code", "kind", "words"),
    [
        ("spec missing", 23, "infra", "spec.json"),
        ("spec broken", 20, "config", "specification"),
        ("spec of the future", 20, "config", "wishes"),
        ("data missing", 21, "data", "data.jsonl"),
        ("data changed", 21, "data", "digest"),
        ("data empty", 21, "data", "empty"),
        ("adapter missing", 23, "infra", "in/adapter"),
        ("adapter changed", 20, "config", "in/adapter"),
        ("metric unknown", 20, "config", "acuracy"),
        ("labels missing", 20, "config", "labels"),
        ("model missing", 20, "config", "nowhere"),
    ],
)
def test_every_failure_has_its_fault(
    tmp_path: Path, tiny: Found, loaded: Loaded, spoil: str, code: int, kind: str, words: str
) -> None:
    changes: dict[str, Any] = {"adapter_digest": "0" * 64} if spoil.startswith("adapter") else {}
    task = make_task("acuracy") if spoil == "metric unknown" else make_task("accuracy")
    if spoil == "labels missing":
        task = make_task("accuracy", labels=())
    make_job(tmp_path, tiny, task, [] if spoil == "data empty" else make_rows(3), **changes)
    spec, data = tmp_path / "spec.json", tmp_path / "in" / "data.jsonl"
    match spoil:
        case "spec missing":
            spec.unlink()
        case "spec broken":
            spec.write_text("{")
        case "spec of the future":
            spec.write_text(json.dumps({**json.loads(spec.read_text()), "wishes": 3}))
        case "data missing":
            data.unlink()
        case "data changed":
            data.write_text(data.read_text().replace("Oslo", "Rome").replace("pay", "sue"))
        case "adapter changed":
            save_adapter(get_peft_model(loaded[0], LoraConfig(r=2)), tmp_path / "in" / "adapter", base="tiny")
    where = tiny if spoil != "model missing" else Found(tmp_path / "nowhere", tiny.identity)
    ended, result = run(tmp_path, where)
    assert (ended, result.status) == (code, "failed")
    assert result.fault is not None
    assert result.fault.kind == kind
    assert words in result.fault.message
    assert result.measurement is None


def test_a_training_is_refused(tmp_path: Path, tiny: Found) -> None:
    make_job(tmp_path, tiny, make_task("accuracy"), make_rows(3))
    content = json.loads((tmp_path / "spec.json").read_text())
    for name in ("split", "adapter_digest", "precision"):
        content.pop(name)
    split = content["data"]
    content |= {
        "job": "training",
        "recipe": {"stages": [{"optimisation": {"lr": 1e-4, "steps": 1}}]},
        "data": {"train": split, "val": split, "test": split},
    }
    (tmp_path / "spec.json").write_text(json.dumps(content))
    code, result = run(tmp_path, tiny)
    assert code == 20
    assert result.fault is not None and "training" in result.fault.message


def test_sigterm_pauses_and_the_next_attempt_finishes(tmp_path: Path, tiny: Found) -> None:
    task = make_task("token_f1", max_new_tokens=400, max_length=512)
    make_job(tmp_path, tiny, task, make_rows(400))
    command = [sys.executable, "-m", "tunewright.tools.evaluation", str(tmp_path), "--model", str(tiny.path)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    events = tmp_path / "out" / "events.jsonl"
    try:
        deadline = time.monotonic() + 60
        while not (events.exists() and b'"started"' in events.read_bytes()):
            assert time.monotonic() < deadline, "the job did not start"
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 10
    finally:
        process.kill()
    result = JobResult.model_validate_json((tmp_path / "out" / "result.json").read_text())
    assert (result.status, result.measurement) == ("paused", None)

    # killed in the middle of a line, then tried again with less to do
    with events.open("a") as file:
        file.write('{"kind": "progr')
    quick = EvaluationSpec.model_validate_json((tmp_path / "spec.json").read_text())
    quick = quick.model_copy(update={"task": task.model_copy(update={"max_new_tokens": 1})})
    (tmp_path / "spec.json").write_text(quick.model_dump_json())
    assert run(tmp_path, tiny)[0] == 0
    torn = [line for line in events.read_text().splitlines() if not line.endswith("}")]
    assert torn == ['{"kind": "progr']


def test_importing_the_job_imports_no_torch() -> None:
    code = (
        "import sys, tunewright.tools.evaluation.__main__; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
