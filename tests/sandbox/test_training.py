"""A real training gives the same bits whichever way it is started."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

import pytest

from tunewright.domain.job import CodeIdentity, DataIdentity, Job, Limits, Rungs, SplitIdentity, TrialSpec
from tunewright.domain.outcome import JobResult
from tunewright.domain.protocols import Sandbox
from tunewright.domain.recipe import Optimisation, Recipe, Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.domain.trial_event import Checkpointed, Measured, Started
from tunewright.sandbox.docker import DockerSandbox
from tunewright.sandbox.process import ProcessConfig, ProcessSandbox
from tunewright.sandbox.staging import stage
from tunewright.tools.models.resolve import resolve

PRELOAD = ("tunewright.tools.training.preload",)
Make = Callable[..., Job]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A training of a few steps on the tiny model, the same each time but for its id."""
    home = tmp_path_factory.mktemp("training")
    found = resolve("tiny", cache=home / "cache")
    rows = [
        {"id": f"{i:016x}", "source": "a", "input": f"word {i}", "target": "ab"[i % 2], "meta": {}} for i in range(40)
    ]
    data = home / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    split = SplitIdentity(digest=hashlib.sha256(data.read_bytes()).hexdigest(), rows=len(rows))

    def job(name: str, steps: int = 8) -> Job:
        spec = TrialSpec(
            id=name,
            study="training",
            task=TaskSpec(
                model="tiny",
                sources=(DataSource(path="a", name="a"),),
                format="label",
                input_field="input",
                target_field="target",
                metric=Metric(name="accuracy"),
                labels=("a", "b"),
            ),
            model=found.identity,
            limits=Limits(wall_s=300, memory_gib=4, threads=2),
            code=CodeIdentity(version="0", digest="0"),
            sandbox="any",
            recipe=Recipe(stages=(Stage(optimisation=Optimisation(lr=1e-3, steps=steps)),)),
            data=DataIdentity(train=split, val=split, test=split),
            rungs=Rungs(steps=(4,)),
        )
        return Job(
            spec=spec, folder=stage(home / name, spec, {"train.jsonl": data, "val.jsonl": data}), model=found.path
        )

    return job


def train(sandbox: Sandbox, job: Job, *, stop_at_rung: bool = False) -> JobResult:
    handle = sandbox.start(job)
    for event in handle.events(240):
        if stop_at_rung and isinstance(event, Measured | Checkpointed):
            handle.ask_to_stop()
    ended = handle.wait(30)
    assert ended is not None
    assert ended.code == (10 if stop_at_rung else 0), ended.message
    return JobResult.model_validate_json((job.out / "result.json").read_bytes())


@pytest.fixture(scope="module")
def reference(make: Make) -> JobResult:
    """Trained in an interpreter of its own."""
    with ProcessSandbox(ProcessConfig(fork_server=False)) as sandbox:
        return train(sandbox, make("cold"))


def same(one: JobResult, other: JobResult) -> bool:
    assert one.adapter_digest
    assert one.curve_digest
    return (one.adapter_digest, one.curve_digest) == (other.adapter_digest, other.curve_digest)


def test_forked_trials_are_bit_identical_quick_to_start_and_resumable(make: Make, reference: JobResult) -> None:
    with ProcessSandbox(preload=PRELOAD) as sandbox:
        assert same(train(sandbox, make("first")), reference)
        begun = time.time()
        second = make("second")
        assert same(train(sandbox, second), reference)
        events = (second.out / "events.jsonl").read_text().splitlines()
        assert Started.model_validate_json(events[0]).at - begun < 2, "a fork that imports everything again"
        halted = make("halted")
        assert train(sandbox, halted, stop_at_rung=True).status == "paused"
        assert same(train(sandbox, halted), reference)


@pytest.mark.docker
def test_a_container_trains_the_same_bits(make: Make, reference: JobResult) -> None:
    with DockerSandbox() as sandbox:
        assert same(train(sandbox, make("contained")), reference)
